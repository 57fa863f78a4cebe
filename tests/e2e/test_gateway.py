"""The gateway's rules: keys, choice of upstream, weights, fallback, rotation, cool-down, retries, limits, probes, lists, the log."""
import json
import os
import re
import signal
import time

from harness import (CLIENT_KEY, PROMPT, UP_KEY, Gateway, Raw, Reply, SLOW_BUILD, alone, cases, chat_stream, cleanup, eq, folder, limit, message_stream, mock, provider, refused_port, run, slow,
                     stopped_listener, sub, text, until)


def simple(**more):
    up = mock()
    return up, Gateway(providers={'up': provider(up, retry={'attempts': 1})}, default_provider='up', **more)


# ---- keys -------------------------------------------------------------------------------------------------------

def test_key_forms():
    """All four forms on every route; the key stays in the gateway."""
    up, gateway = simple(api_keys=[CLIENT_KEY, {'name': 'bob', 'key': 'sk-bob-SECRET%/+='}])
    for headers, query in (([('authorization', f'Bearer {CLIENT_KEY}')], ''), ([('authorization', f'bearer {CLIENT_KEY}')], ''), ([('x-api-key', CLIENT_KEY)], ''), ([('x-goog-api-key', CLIENT_KEY)], ''), ([], f'?key={CLIENT_KEY}'),
                           ([], f'?beta=true&key={CLIENT_KEY}&x=1'), ([], '?key=sk-bob-SECRET%25%2F%2B%3D'), ([('x-api-key', 'sk-bob-SECRET%/+=')], '')):
        for path, ask in (('/v1/chat/completions', gateway.chat), ('/v1/messages', gateway.messages)):
            with sub(f'{path}{query} {headers}'.replace('SECRET', 'S')):
                answer = ask(headers=headers, path=path + query)
                eq(answer.status, 200, answer.text)
                for name, value in up.last().fields:
                    assert CLIENT_KEY not in value and 'sk-bob' not in value, f'the key went upstream in {name}'
                assert 'key=' not in up.last().path, up.last().path
    eq(gateway.line(-1, 16)['key'], 'bob')


def test_wrong_key():
    """401 in the shape of the route's protocol; no key is no key; one of two offered being right is enough."""
    up, gateway = simple(api_keys=[CLIENT_KEY])
    for headers in ([], [('authorization', 'Bearer wrong')], [('x-api-key', CLIENT_KEY + 'x')], [('x-api-key', CLIENT_KEY[:-1])], [('authorization', f'Basic {CLIENT_KEY}')], [('authorization', '')]):
        answer = gateway.chat(headers=headers)
        eq(answer.status, 401, str(headers))
        eq(answer.error[:2], ('invalid_request_error', 'invalid_api_key'))
        answer = gateway.messages(headers=headers)
        eq(answer.status, 401, str(headers))
        eq((answer.json()['type'], answer.error[0]), ('error', 'authentication_error'))
        eq(answer.json()['request_id'], answer.headers['request-id'])
    for path in ('/v1/models', '/v1/models/x', '/up/v1/chat/completions'):
        eq(gateway.get(path).status if 'models' in path else gateway.post(path, {}).status, 401, path)
    for path in ('/', '/health', '/ready'):
        eq(gateway.get(path).status, 200, path)
    eq(up.count(), 0)
    eq(gateway.chat(headers=[('x-api-key', 'wrong'), ('authorization', f'Bearer {CLIENT_KEY}')]).status, 200)


def test_wrong_key_keeps_the_connection():
    """A refused request's body is stepped over, or the connection is closed: the next request is never read out of a body."""
    up, gateway = simple(api_keys=[CLIENT_KEY])
    raw = gateway.connect()
    raw.request('POST', '/v1/chat/completions', {'model': 'm', 'messages': [], 'x': 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n'})
    answer = raw.answer()
    eq(answer.status, 401)
    if answer.headers.get('connection') == 'close':
        assert raw.ends()
    else:
        raw.request('GET', '/health')
        eq(raw.answer('GET').status, 200)


def test_key_limits():
    """models, rpm, concurrency of a key; they hold for the process, not a worker."""
    up = mock()
    up.on('slow', Reply(turn=text('x'), wait=0.8))
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', workers=2, api_keys=[
        {'name': 'a', 'key': 'sk-a-SECRET', 'models': ['gpt-*', '!gpt-5*']}, {'name': 'r', 'key': 'sk-r-SECRET', 'rpm': 3}, {'name': 'c', 'key': 'sk-c-SECRET', 'concurrency': 2}])
    ask = lambda key, model: gateway.chat(headers=[('x-api-key', key)], model=model, messages=[{'role': 'user', 'content': 'x'}])  # noqa: E731
    with sub('models'):
        eq(ask('sk-a-SECRET', 'gpt-4').status, 200)
        eq(ask('sk-a-SECRET', 'gpt-5').status, 403)
        answer = ask('sk-a-SECRET', 'other')
        eq((answer.status, answer.error[1]), (403, 'permission_denied'))
    with sub('rpm'):
        eq([ask('sk-r-SECRET', 'm').status for _ in range(5)], [200, 200, 200, 429, 429])
        answer = ask('sk-r-SECRET', 'm')
        eq(answer.error[:2], ('rate_limit_error', 'rate_limit_exceeded'))
        assert 1 <= int(answer.headers['retry-after']) <= 60
    with sub('concurrency'):
        running = [gateway.stream('/v1/chat/completions', {'model': 'slow', 'messages': [{'role': 'user', 'content': 'x'}]}, [('x-api-key', 'sk-c-SECRET')]) for _ in range(4)]
        statuses = sorted(r.answer().status for r in running)
        eq(statuses, [200, 200, 429, 429])
        eq(ask('sk-c-SECRET', 'm').status, 200)


# ---- choosing the upstream --------------------------------------------------------------------------------------

def test_five_ways():
    """Path prefix, header, PROVIDER/MODEL, routes, default: the first that matches wins."""
    ups = {n: mock() for n in 'abcde'}
    gateway = Gateway(providers={n: provider(u) for n, u in ups.items()}, routes=[{'model': 'r-*', 'to': ['d']}, {'model': 'alias', 'to': ['d/real']}], default_provider='e')
    for what, path, headers, model, to, sent in (
            ('path first', '/a/v1/chat/completions', [('model-provider', 'b')], 'c/r-1', 'a', 'c/r-1'),
            ('path without /v1', '/a/chat/completions', [], 'm', 'a', 'm'),
            ('header second', '/v1/chat/completions', [('model-provider', 'b')], 'c/r-1', 'b', 'c/r-1'),
            ('prefix third', '/v1/chat/completions', [], 'c/r-1', 'c', 'r-1'),
            ('prefix with slashes', '/chat/completions', [], 'c/org/x:free', 'c', 'org/x:free'),
            ('unknown prefix is a model', '/v1/chat/completions', [], 'org/x', 'e', 'org/x'),
            ('route fourth', '/v1/chat/completions', [], 'r-1', 'd', 'r-1'),
            ('alias', '/v1/chat/completions', [], 'alias', 'd', 'real'),
            ('default fifth', '/v1/chat/completions', [], 'q', 'e', 'q')):
        with sub(what):
            before = {n: u.count() for n, u in ups.items()}
            answer = gateway.chat(path=path, headers=headers, model=model, messages=[{'role': 'user', 'content': 'x'}])
            eq(answer.status, 200, answer.text)
            eq([n for n, u in ups.items() if u.count() > before[n]], [to])
            eq(ups[to].last().model, sent)
    with sub('unknown provider in the header'):
        answer = gateway.chat(headers=[('model-provider', 'nobody')])
        eq(answer.status, 400)
        assert 'nobody' in answer.error[2]


def test_no_upstream():
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, routes=[{'model': 'gpt-*', 'to': ['up']}])
    answer = gateway.chat(model='unknown', messages=[{'role': 'user', 'content': 'x'}])
    eq(answer.status, 404, answer.text)
    eq(answer.error[1], 'model_not_found')
    assert 'unknown' in answer.error[2]
    answer = gateway.messages(model='unknown', max_tokens=5, messages=[{'role': 'user', 'content': 'x'}])
    eq((answer.status, answer.error[0]), (404, 'not_found_error'))


def test_default_model():
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', default_model={'id': 'the-default', 'mode': 'fallback'})
    gateway.chat({'messages': [{'role': 'user', 'content': 'x'}]})
    eq(up.last().model, 'the-default')
    gateway.chat(model='named', messages=[{'role': 'user', 'content': 'x'}])
    eq(up.last().model, 'named')
    forced = Gateway(providers={'up': provider(up)}, default_provider='up', default_model={'id': 'the-default', 'mode': 'force'})
    forced.chat(model='named', messages=[{'role': 'user', 'content': 'x'}])
    eq(up.last().model, 'the-default')
    none = Gateway(providers={'up': provider(up)}, default_provider='up')
    eq(none.chat({'messages': [{'role': 'user', 'content': 'x'}]}).status, 400)


def test_weights():
    """9 to 1 over a hundred requests; weight 0 only when nothing else can."""
    a, b, c = mock(), mock(), mock()
    gateway = Gateway(providers={'a': provider(a), 'b': provider(b), 'c': provider(c)}, workers=2,
                      routes=[{'model': '*', 'to': [{'provider': 'a', 'weight': 9}, {'provider': 'b', 'weight': 1}, {'provider': 'c', 'weight': 0}]}])
    for _ in range(100):
        eq(gateway.chat().status, 200)
    assert 80 <= a.count() <= 97 and a.count() + b.count() == 100 and c.count() == 0, (a.count(), b.count(), c.count())


def test_fallback():
    """Overload, refusal to connect, unknown model: the next target; a bad request is nobody else's business."""
    a, b = mock(), mock()
    a.on('busy', Reply(status=503))
    a.on('missing', Reply(status=404))
    a.on('bad', Reply(status=400))
    gateway = Gateway(providers={'a': provider(a, retry={'attempts': 1}), 'b': provider(b), 'dead': provider(f'http://127.0.0.1:{refused_port()}/v1')},
                      routes=[{'model': 'dead', 'to': ['dead'], 'fallback': ['b']}, {'model': '*', 'to': ['a'], 'fallback': ['b/other']}])
    for model, status, calls_b, sent in (('busy', 200, 1, 'other'), ('missing', 200, 2, 'other'), ('bad', 400, 2, None), ('dead', 200, 3, 'dead')):
        with sub(model):
            answer = gateway.chat(model=model, messages=[{'role': 'user', 'content': 'x'}])
            eq(answer.status, status, answer.text)
            eq(b.count(), calls_b)
            if sent:
                eq(b.last().model, sent)
    with sub('a stream too, before its first byte'):
        a.on('s', Reply(status=529))
        answer = gateway.chat(model='s', stream=True, messages=[{'role': 'user', 'content': 'x'}])
        eq(chat_stream(answer.events)['text'], 'Hello from the mock.')
    with sub('an error hidden behind a 200'):
        a.on('hidden', Reply(turn=text('never'), break_at=0, break_status=529))
        answer = gateway.chat(model='hidden', stream=True, messages=[{'role': 'user', 'content': 'x'}])
        eq(answer.status, 200)
        eq(chat_stream(answer.events)['text'], 'Hello from the mock.')
    with sub('the log says so'):
        line = gateway.line(-1, 6)
        eq(line['provider'], 'b')
        eq(int(line['retries']) >= 1, True, line)


def test_key_rotation():
    """Several keys take turns; 401, 403 and 429 cool one key down, and the next is tried at once."""
    up = mock()
    keys = ['sk-1-SECRET', 'sk-2-SECRET', 'sk-3-SECRET']
    gateway = Gateway(providers={'up': provider(up, keys=keys)}, default_provider='up', workers=2)
    for _ in range(9):
        eq(gateway.chat().status, 200)
    used = [r.headers['authorization'][7:] for r in up.seen]
    eq({k: used.count(k) for k in keys}, {k: 3 for k in keys})
    for status in (401, 403, 429):
        with sub(str(status)):
            up = mock()
            gateway = Gateway(providers={'up': provider(up, keys=keys)}, default_provider='up', workers=2)
            up.default = lambda r: Reply(status=status, headers={'retry-after': '2'} if status == 429 else {}) if r.headers['authorization'].endswith('sk-2-SECRET') else text('fine')
            eq([gateway.chat().status for _ in range(9)], [200] * 9)
            eq(sum(r.headers['authorization'].endswith('sk-2-SECRET') for r in up.seen), 1, 'requests with the bad key')
            if status == 429:
                time.sleep(2.2)
                up.default = text('fine')
                eq([gateway.chat().status for _ in range(6)], [200] * 6)
                assert sum(r.headers['authorization'].endswith('sk-2-SECRET') for r in up.seen) >= 2, 'the key did not come back after retry-after'


def test_all_keys_bad():
    up = mock()
    gateway = Gateway(providers={'up': provider(up, keys=['sk-1-SECRET', 'sk-2-SECRET'])}, default_provider='up')
    up.default = Reply(status=401)
    answer = gateway.chat()
    eq((answer.status, answer.error[1]), (502, 'upstream_auth'))
    eq(up.count(), 2)
    answer = gateway.messages()
    eq((answer.status, answer.error[0]), (502, 'api_error'), 'while the keys cool')


# ---- retries ----------------------------------------------------------------------------------------------------

def test_retries():
    """The same key again with back-off, before the first byte only."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', retry={'attempts': 3, 'base_delay_ms': 100})
    for name, replies, status, asked in (
            ('500 twice', [Reply(status=500), Reply(status=500), text('ok')], 200, 3), ('503 for ever', [Reply(status=503)], 503, 3), ('no answer', [Reply(abrupt=True), text('ok')], 200, 2),
            ('400 is final', [Reply(status=400)], 400, 1), ('422 is final', [Reply(status=422)], 422, 1), ('short 429', [Reply(status=429, headers={'retry-after': '1'}), text('ok')], 200, 2),
            ('long 429', [Reply(status=429, headers={'retry-after': '60'})], 429, 1)):
        with sub(name):
            up = mock()
            gateway = Gateway(providers={'up': provider(up)}, default_provider='up', retry={'attempts': 3, 'base_delay_ms': 100})
            up.on('m', *replies)
            start = time.monotonic()
            answer = gateway.chat()
            eq((answer.status, up.count()), (status, asked), answer.text)
            if asked == 3:
                assert 0.12 < time.monotonic() - start, 'no back-off'
                first, second, third = (r.at for r in up.seen)
                assert 0.04 <= second - first and 0.09 <= third - second, 'pauses of base * 2^n, half of it jitter'
            eq(int(gateway.line()['retries']), asked - 1)
            if status == 429:
                eq(answer.headers['retry-after'], '60')


def test_no_retry_after_the_first_byte():
    for kind, path in (('openai', '/v1/chat/completions'), ('anthropic', '/v1/messages')):
        for upstream in ('openai', 'anthropic'):
            with sub(f'{kind} to {upstream}'):
                up = mock()
                gateway = Gateway(providers={'up': provider(up, upstream), 'other': provider(up, upstream)}, routes=[{'model': '*', 'to': ['up'], 'fallback': ['other']}], retry={'attempts': 3, 'base_delay_ms': 1})
                up.default = Reply(turn=text('This begins and then breaks'), cut=5)
                answer = gateway.post(path, {'model': 'm', 'max_tokens': 9, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, [('anthropic-version', '2023-06-01')])
                eq(up.count(), 1)
                assert 'error' in answer.events[-1][1]


def test_retry_of_a_broken_plain_answer():
    """A plain body that breaks off was never shown: 502 naming the phase, not a truncated 200."""
    for client, upstream in (('chat', 'openai'), ('chat', 'anthropic'), ('messages', 'openai'), ('messages', 'anthropic')):
        with sub(f'{client} to {upstream}'):
            up = mock()
            gateway = Gateway(providers={'up': provider(up, upstream, retry={'attempts': 1})}, default_provider='up')
            for reply in (Reply(cut=40), Reply(cut=40, framing='chunked'), Reply(cut=40, reset=True), Reply(cut=40, framing='close')):
                up.default = reply
                answer = getattr(gateway, client)()
                eq(answer.status, 502, answer.text)
                assert answer.error[0] in ('server_error', 'api_error')


@limit(60)
def test_stale_connections():
    """A kept connection that the upstream closed meanwhile: the request goes again on a fresh one, unseen, with attempts: 1."""
    up = mock()
    up.drop_reused = True
    gateway = Gateway(providers={'up': provider(up, retry={'attempts': 1})}, default_provider='up')
    for i in range(6):
        eq(gateway.chat().status, 200)
    assert until(lambda: up.connections >= 6), up.connections
    up = mock()
    up.keep_max, up.keep_delay = 2, 0.0
    gateway = Gateway(providers={'up': provider(up, retry={'attempts': 1})}, default_provider='up')
    eq([gateway.chat().status for _ in range(11)], [200] * 11)


def test_connection_reuse():
    """Upstream connections are kept, reused and counted; Connection: close is obeyed."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up')
    for i in range(10):
        eq(gateway.chat(stream=i % 2 == 0, model='m', messages=[{'role': 'user', 'content': 'x'}]).status, 200)
        assert until(lambda: gateway.metrics()['ring2api_upstream_idle'] == 1), 'the connection was not kept'
    eq(up.connections, 1)
    values = gateway.metrics()
    reused = {n: v for n, v in values.items() if 'reuse' in n}
    assert 9 in reused.values(), reused
    up.default = Reply(turn=text('x'), close=True)
    for _ in range(3):
        eq(gateway.chat().status, 200)
    assert until(lambda: up.connections == 3), up.connections


# ---- time -------------------------------------------------------------------------------------------------------

@limit(60)
def test_timeouts_by_phase():
    """504 (or 502 where nothing answered) naming the phase, in the client's protocol; each timeout alone."""
    up = mock()
    listener, port = stopped_listener()
    short = {'connect_ms': 300, 'first_byte_ms': 400, 'idle_ms': 500}
    rule = {'retry': {'attempts': 1}, 'timeouts': short}
    gateway = Gateway(providers={'up': provider(up, **rule), 'far': provider(f'http://127.0.0.1:{port}/v1', **rule), 'dead': provider(f'http://127.0.0.1:{refused_port()}/v1', **rule),
                                 'nowhere': provider('http://no-such-host.invalid/v1', **rule)}, default_provider='up', timeouts={'total_ms': 0})
    up.on('silent', Reply(wait=30))
    up.on('half', Reply(turn=text('x'), head_wait=30))
    for name, model, status, phase, low, high in (('connect', 'far/m', (504,), 'connect', 0.28, 1.5), ('refused', 'dead/m', (502,), 'connect', 0, 1), ('first byte', 'silent', (504,), 'first byte', 0.38, 1.6), ('idle in a body', 'half', (504,), '', 0.45, 1.8),
                                                  ('name', 'nowhere/m', (502, 504), 'resolv', 0, 20)):
        for client in ('chat', 'messages'):
            with sub(f'{name}, {client}'):
                start = time.monotonic()
                body = {'model': model, 'max_tokens': 5, 'messages': [{'role': 'user', 'content': 'x'}]}
                answer = getattr(gateway, client)(body)
                took = time.monotonic() - start
                assert answer.status in status, answer
                assert low <= took <= high * SLOW_BUILD + 1.0, f'after {took:.2f} s'
                if answer.status == 504:
                    eq(answer.error[0], 'server_error' if client == 'chat' else 'timeout_error')
                assert phase in answer.error[2], answer.error
    with sub('cancelled upstream'):
        assert until(lambda: all(r.gone_at for r in up.seen if r.model == 'silent')), 'connections stay open'
    with sub('metrics by phase'):
        phases = gateway.metric('ring2api_upstream_errors_total')
        assert sum(phases.values()) >= 10, phases


def test_idle_in_a_stream():
    for client, upstream in (('openai', 'openai'), ('openai', 'anthropic'), ('anthropic', 'openai'), ('anthropic', 'anthropic')):
        with sub(f'{client} to {upstream}'):
            up = mock()
            gateway = Gateway(providers={'up': provider(up, upstream, timeouts={'idle_ms': 400})}, default_provider='up')
            up.default = Reply(turn=text('A beginning and then silence'), stall=5)
            start = time.monotonic()
            answer = gateway.post('/v1/chat/completions' if client == 'openai' else '/v1/messages', {'model': 'm', 'max_tokens': 5, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, [('anthropic-version', '2023-06-01')])
            assert 0.35 < time.monotonic() - start < 4 * SLOW_BUILD
            eq(answer.status, 200)
            error = json.loads(answer.events[-1][1])['error']
            eq(error['type'], 'server_error' if client == 'openai' else 'timeout_error')
            assert until(lambda: up.last().gone_at), 'the upstream connection stays'


def test_total_time():
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', timeouts={'total_ms': 700})
    up.default = Reply(turn=text('word ' * 100, size=5), pace=0.05)
    start = time.monotonic()
    answer = gateway.chat(model='m', stream=True, messages=[{'role': 'user', 'content': 'x'}])
    assert 0.6 < time.monotonic() - start < 4 * SLOW_BUILD
    assert 'error' in json.loads(answer.events[-1][1]), answer.events[-1]


@cases('openai', 'anthropic')
@limit(60)
def test_keep_alive(client):
    """While the upstream is silent: a comment, or a ping once the message has begun."""
    for upstream in ('openai', 'anthropic'):
        with sub(upstream):
            up = mock()
            gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up', timeouts={'keepalive_ms': 200, 'hold_ms': 300})
            up.default = Reply(turn=text('After a silence.', size=4), pace=0.0, wait=1.2)
            raw = gateway.stream('/v1/chat/completions' if client == 'openai' else '/v1/messages', {'model': 'm', 'max_tokens': 5, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, [('anthropic-version', '2023-06-01')])
            answer = raw.head()
            eq(answer.status, 200)
            events = list(raw.events())
            assert events[0][0] == ':', events[:3]
            real = [e for e in events if e[0] != ':']
            out = (chat_stream if client == 'openai' else message_stream)(real)
            eq(out['text'], 'After a silence.')


def test_hold():
    """The 200 is held back until content came: an error behind the opening events is an HTTP error."""
    for client, upstream in (('openai', 'anthropic'), ('anthropic', 'anthropic'), ('anthropic', 'openai'), ('openai', 'openai')):
        with sub(f'{client} to {upstream}'):
            up = mock()
            gateway = Gateway(providers={'up': provider(up, upstream, retry={'attempts': 1})}, default_provider='up')
            up.default = Reply(turn=text('never shown'), break_at=2 if upstream == 'anthropic' else 0, break_status=529, pace=0.05)
            answer = gateway.post('/v1/chat/completions' if client == 'openai' else '/v1/messages', {'model': 'm', 'max_tokens': 5, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, [('anthropic-version', '2023-06-01')])
            eq(answer.status, 503 if client == 'openai' else 529, answer.text)
            eq(answer.headers['content-type'], 'application/json')


# ---- limits and malformed requests ------------------------------------------------------------------------------

def test_body_limit():
    up, gateway = simple(limits={'body_bytes': 20000})
    body = {'model': 'm', 'messages': [{'role': 'user', 'content': 'x' * 30000}]}
    for client, kind in (('chat', 'invalid_request_error'), ('messages', 'request_too_large')):
        answer = getattr(gateway, client)(dict(body, max_tokens=5))
        eq((answer.status, answer.error[0]), (413, kind))
    raw = gateway.connect()
    raw.request('POST', '/v1/chat/completions', b'', [('transfer-encoding', 'chunked')])
    raw.send(b'4e20\r\n' + b'x' * 20000 + b'\r\n').send(b'10\r\n' + b'y' * 16 + b'\r\n')
    eq(raw.answer().status, 413)
    assert raw.ends()
    body['messages'][0]['content'] = 'x' * 19000
    eq(gateway.chat(body).status, 200)
    eq(up.count(), 1)


def test_announced_length_is_no_memory():
    """A head that announces 60 MiB costs nothing until the bytes come."""
    up, gateway = simple()
    before = gateway.rss()
    raws = []
    for _ in range(20):
        raw = gateway.connect()
        raw.send(b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 62914560\r\n\r\n{"model":')
        raws.append(raw)
    time.sleep(0.2)
    assert gateway.rss() - before < (40 if SLOW_BUILD > 1 else 12) * 1048576, f'{(gateway.rss() - before) / 1048576:.1f} MiB for nothing'
    for raw in raws:
        raw.close()
    gateway.idle()


def test_header_limit():
    up, gateway = simple(limits={'header_bytes': 4096})
    eq(gateway.get('/health', [('x-big', 'a' * 5000)]).status, 431)
    eq(gateway.get('/health', [('x-ok', 'a' * 3000)]).status, 200)
    eq(gateway.get('/v1/' + 'a' * 5000).status, 431)
    raw = gateway.connect()
    raw.send(b'GET /health HTTP/1.1\r\nhost: x\r\n' + b''.join(b'x-%d: 1\r\n' % i for i in range(1000)) + b'\r\n')
    eq(raw.answer('GET').status, 431)


def test_refusals():
    """404, 405, 415, 417, 426 in the client's protocol."""
    up, gateway = simple()
    body = {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]}
    eq(gateway.get('/nothing').status, 404)
    eq(gateway.get('/v1/nothing', [('anthropic-version', '2023-06-01')]).json()['type'], 'error')
    assert gateway.post('/v1beta/models/x:nothing', {}).status in (404, 405)
    answer = gateway.get('/v1/chat/completions')
    eq((answer.status, answer.error[0], answer.headers['allow']), (405, 'invalid_request_error', 'POST'))
    eq(gateway.post('/v1/models', {}).headers['allow'], 'GET, HEAD')
    eq(gateway.get('/v1beta/models/x:generateContent').headers['allow'], 'POST')
    eq(gateway.call('DELETE', '/v1/messages').json()['type'], 'error')
    eq(gateway.post('/health', {}).status, 405)
    answer = gateway.chat(body, headers=[('content-encoding', 'gzip')])
    eq((answer.status, answer.error[0]), (415, 'invalid_request_error'))
    answer = gateway.messages(body, headers=[('content-encoding', 'br')])
    eq((answer.status, answer.error[0]), (415, 'invalid_request_error'))
    eq(gateway.chat(body, headers=[('content-encoding', 'identity')]).status, 200)
    eq(gateway.chat(body, headers=[('expect', 'something')]).status, 417)
    answer = gateway.get('/v1/responses', [('connection', 'upgrade'), ('upgrade', 'websocket'), ('sec-websocket-key', 'eA=='), ('sec-websocket-version', '13')])
    eq(answer.status, 426)
    eq(gateway.get('/v1/models/absent').status, 404)


def test_bad_json():
    """400 with the offset of the byte that is wrong."""
    up, gateway = simple()
    for body, offset in ((b'{"model":"m",}', 13), (b'{"model":"m"', 12), (b'', 0), (b'{"model":"m","messages":[01]}', None), (b'{"a":"\x01"}', 6), (b'{"a":"\xff"}', 6), (b'[1]', None), (b'"x"', None), (b'{"model":"m","messages":[]} x', None),
                         (b'{"a":' + b'[' * 200 + b']' * 200 + b'}', None), (b'{"a":nul}', None), (b'{"a":"\\x"}', None), (b'\xef\xbb\xbf{}', None)):
        for client in ('chat', 'messages'):
            with sub(f'{body[:30]!r}, {client}'):
                answer = gateway.post('/v1/chat/completions' if client == 'chat' else '/v1/messages', body)
                eq((answer.status, answer.error[0]), (400, 'invalid_request_error'))
                if offset is not None:
                    assert f'byte {offset}' in answer.error[2], answer.error[2]
    eq(up.count(), 0)


def test_bad_fields():
    """What is JSON but no request: 400 naming the member, before an upstream is asked (a translation has to know them)."""
    up = mock()
    gateway = Gateway(providers={'a': provider(up, 'anthropic'), 'o': provider(up, 'openai')})
    for body, word in (({'model': 'a/m'}, 'messages'), ({'model': 'a/m', 'messages': 'x'}, 'messages'), ({'model': 'a/m', 'messages': [{'role': 'user'}]}, ''), ({'model': 'a/m', 'messages': [{'role': 'alien', 'content': 'x'}]}, 'role'),
                       ({'model': 5, 'messages': []}, 'model'), ({'model': 'a/m', 'messages': [{'role': 'user', 'content': 'x'}], 'n': 2}, 'n'), ({'model': 'a/m', 'messages': [{'role': 'user', 'content': 'x'}], 'stream': 'yes'}, 'stream'),
                       ({'model': 'a/m', 'messages': [{'role': 'user', 'content': 'x'}], 'tool_choice': {'type': 'function', 'function': {'name': 'absent'}}, 'tools': [{'type': 'function', 'function': {'name': 'f'}}]}, 'tool_choice')):
        with sub(json.dumps(body)[:60]):
            answer = gateway.chat(body)
            eq((answer.status, answer.error[0]), (400, 'invalid_request_error'), answer.text)
            assert word in answer.error[2], answer.error[2]
    for body, word in (({'model': 'o/m', 'max_tokens': 5}, 'messages'), ({'model': 'o/m', 'max_tokens': 5, 'messages': [{'role': 'user', 'content': [{'type': 'alien'}]}]}, 'alien'), ({'model': 'o/m', 'messages': [{'role': 'user', 'content': 7}], 'max_tokens': 5}, 'content')):
        with sub(json.dumps(body)[:60]):
            answer = gateway.messages(body)
            eq((answer.status, answer.error[0]), (400, 'invalid_request_error'), answer.text)
            assert word in answer.error[2], answer.error[2]
    eq(up.count(), 0)


# ---- what the gateway answers by itself -------------------------------------------------------------------------

def test_request_id():
    up, gateway = simple()
    eq(gateway.chat(headers=[('x-request-id', 'my-id_1.x/~')]).headers['x-request-id'], 'my-id_1.x/~')
    eq(gateway.line()['id'], 'my-id_1.x/~')
    for bad in ('a' * 129, 'with space', ''):
        given = gateway.chat(headers=[('x-request-id', bad)]).headers['x-request-id']
        assert given != bad and 8 <= len(given) <= 128, given
    ids = {gateway.get('/health').headers['x-request-id'] for _ in range(20)}
    eq(len(ids), 20)
    answer = gateway.messages(headers=[('x-request-id', 'abc')])
    eq((answer.headers['request-id'], answer.headers['x-request-id']), ('abc', 'abc'))
    for path in ('/', '/nothing', '/v1/models', '/metrics'):
        assert gateway.get(path).headers.get('x-request-id'), path


def test_probes():
    """GET and HEAD /, HEAD /api/hello, /health, /ready; HEAD has the head of GET and no body."""
    up, gateway = simple()
    answer = gateway.get('/')
    eq(answer.status, 200)
    assert '/v1' in answer.text and len(answer.text.splitlines()) == 2
    raw = gateway.connect()
    for path in ('/', '/api/hello', '/health', '/ready', '/v1/models', '/metrics'):
        raw.request('HEAD', path)
        head = raw.answer('HEAD')
        eq(head.status, 200, path)
        assert raw.stays(0.05), f'bytes after a HEAD of {path}'
    eq(gateway.get('/health').json()['status'], 'ok')
    eq(gateway.get('/ready').status, 200)


def test_degraded():
    """A provider that is off (optional, its key missing) shows in /health; with none usable /ready says 503."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up), 'gone': provider(up, keys=['env:NO_SUCH_KEY_HERE'], optional=True)}, default_provider='up')
    value = gateway.get('/health').json()
    eq(value['status'], 'degraded')
    assert 'NO_SUCH_KEY_HERE' in json.dumps(value['off']['gone'])
    eq(gateway.get('/ready').status, 200)
    eq(gateway.chat(model='gone/m', messages=[{'role': 'user', 'content': 'x'}]).status, 503)
    none = Gateway(providers={'gone': provider(up, keys=['env:NO_SUCH_KEY_HERE'], optional=True)}, default_provider='gone')
    eq(none.get('/ready').status, 503)
    eq(none.get('/health').status, 200)


def test_models():
    """Two shapes at one path; one model by id, slashes and all; ids a key may not use are not listed."""
    up = mock()
    gateway = Gateway(providers={'o': provider(up, models=['gpt-a', 'org/b']), 'a': provider(up, 'anthropic', models=['claude-a'])}, routes=[{'model': 'fast', 'to': ['o/gpt-a']}], default_provider='o',
                      api_keys=[CLIENT_KEY, {'name': 'n', 'key': 'sk-n-SECRET', 'models': ['a/*', 'claude-*']}])
    auth = [('x-api-key', CLIENT_KEY)]
    value = gateway.get('/v1/models', auth).json()
    eq(value['object'], 'list')
    ids = [m['id'] for m in value['data']]
    eq(sorted(ids), ['claude-a', 'fast', 'gpt-a', 'org/b'], 'the ids a client may use')
    for model in value['data']:
        eq((model['object'], isinstance(model['created'], int), bool(model['owned_by'])), ('model', True, True))
    value = gateway.get('/v1/models?limit=1000', auth + [('anthropic-version', '2023-06-01')]).json()
    eq((value['has_more'], value['first_id'], value['last_id']), (False, value['data'][0]['id'], value['data'][-1]['id']))
    for model in value['data']:
        eq(model['type'], 'model')
        assert model['display_name'] and re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', model['created_at'])
    eq(sorted(m['id'] for m in value['data']), sorted(ids))
    for path in ('/v1/models/org/b', '/v1/models/org%2Fb', '/models/org/b'):
        eq(gateway.get(path, auth).json()['id'], 'org/b', path)
    answer = gateway.get('/v1/models/none', auth)
    eq((answer.status, answer.error[1]), (404, 'model_not_found'))
    eq([m['id'] for m in gateway.get('/models', [('x-api-key', 'sk-n-SECRET')]).json()['data']], ['claude-a'])
    eq([m['id'] for m in gateway.get('/a/v1/models', auth).json()['data']], ['claude-a'])


def test_paths():
    """With and without /v1, doubled slashes, after a provider's name, query parameters of no meaning."""
    up = mock()
    gateway = Gateway(providers={'o': provider(up), 'a': provider(up, 'anthropic')}, default_provider='o')
    for path in ('/v1/chat/completions', '/chat/completions', '/v1//chat/completions', '//v1/chat/completions', '/o/v1/chat/completions', '/o/chat/completions', '/v1/chat/completions?a=b&c', '/a/v1/chat/completions'):
        eq(gateway.chat(path=path).status, 200, path)
    for path in ('/v1/messages', '/messages', '/v1/messages?beta=true', '/a/v1/messages?beta=true', '/a/messages', '/v1/v1/messages'):
        if path != '/v1/v1/messages':
            eq(gateway.messages(path=path).status, 200, path)
    raw = gateway.connect()
    raw.request('POST', f'http://{gateway.host}:{gateway.port}/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]})
    eq(raw.answer().status, 200, 'absolute form')


def test_cors():
    up, gateway = simple(cors=['https://chat.example.org'])
    origin = ('origin', 'https://chat.example.org')
    answer = gateway.call('OPTIONS', '/v1/chat/completions', None, [origin, ('access-control-request-method', 'POST'), ('access-control-request-headers', 'authorization,content-type')])
    eq(answer.status, 204)
    eq(answer.headers['access-control-allow-origin'], origin[1])
    assert 'POST' in answer.headers['access-control-allow-methods'] and 'authorization' in answer.headers['access-control-allow-headers']
    for answer in (gateway.chat(headers=[origin]), gateway.chat(headers=[origin], model='m', stream=True, messages=[{'role': 'user', 'content': 'x'}]), gateway.get('/nothing', [origin])):
        eq(answer.headers['access-control-allow-origin'], origin[1])
        assert 'origin' in answer.headers.get('vary', '').lower()
    for answer in (gateway.chat(headers=[('origin', 'https://evil.example')]), gateway.chat()):
        assert 'access-control-allow-origin' not in answer.headers
    any_origin = Gateway(providers={'up': provider(up)}, default_provider='up', cors=['*'])
    assert any_origin.chat(headers=[('origin', 'https://x.example')]).headers['access-control-allow-origin'] in ('*', 'https://x.example')
    none = Gateway(providers={'up': provider(up)}, default_provider='up')
    assert 'access-control-allow-origin' not in none.chat(headers=[origin]).headers


def test_metrics():
    """Prometheus text that counts what happened; who may read it."""
    up, gateway = simple()
    for stream in (False, True, True):
        eq(gateway.chat(model='m', stream=stream, messages=[{'role': 'user', 'content': 'x'}]).status, 200)
    gateway.chat(b'{')
    answer = gateway.get('/metrics')
    assert answer.headers['content-type'].startswith('text/plain; version=0.0.4')
    for line in answer.text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) ring2api_[a-z0-9_]+ .+|ring2api_[a-z0-9_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+', line), line
    values = gateway.metrics()
    for part, minimum in (('requests_total', 5), ('streams_total', 2), ('answers_total{class="2xx"}', 3), ('answers_total{class="4xx"}', 1), ('first_token_seconds_count', 1), ('exchange_seconds_count', 3)):
        found = [v for n, v in values.items() if n == f'ring2api_{part}']
        assert found and found[0] >= minimum, f'{part}: {found} in {sorted(values)}'
    assert any('token' in n and v >= 21 for n, v in values.items()), 'tokens are not counted'
    keyed = Gateway(providers={'up': provider(up)}, default_provider='up', api_keys=[CLIENT_KEY], admin={'key': 'sk-admin-SECRET'})
    eq(keyed.get('/metrics').status, 401)
    eq(keyed.get('/metrics', [('x-api-key', CLIENT_KEY)]).status, 401)
    eq(keyed.get('/metrics', [('authorization', 'Bearer sk-admin-SECRET')]).status, 200)


def test_admin_listener():
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', api_keys=[CLIENT_KEY], admin={'listen': [f'127.0.0.1:{refused_port()}']})
    port = int(gateway.config['admin']['listen'][0].split(':')[1])
    raw = Raw(('127.0.0.1', port))
    raw.request('GET', '/metrics')
    eq(raw.answer('GET').status, 200)
    eq(gateway.get('/metrics').status, 401)


def test_access_log():
    """One line an exchange with all it takes to understand it."""
    up = mock()
    up.on('m', Reply(turn=text('Hello you.'), pace=0.02))
    gateway = Gateway(providers={'up': provider(up, 'anthropic')}, default_provider='up', api_keys=[{'name': 'alice', 'key': CLIENT_KEY}])
    gateway.chat(headers=[('x-api-key', CLIENT_KEY), ('x-request-id', 'id-1')], model='m', stream=True, messages=[{'role': 'user', 'content': PROMPT}])
    line = gateway.line()
    for name, value in {'id': 'id-1', 'key': 'alice', 'method': 'POST', 'path': '/v1/chat/completions', 'protocol': 'openai', 'status': '200', 'model': 'm', 'provider': 'up', 'upstream_protocol': 'anthropic', 'upstream_status': '200',
                        'upstream_id': 'req_mock1', 'retries': '0', 'tokens_in': '12', 'tokens_out': '7', 'stream': '1'}.items():
        eq(line.get(name), value, name)
    for name in ('duration_ms', 'first_token_ms', 'bytes_in', 'bytes_out', 'end'):
        assert name in line, f'{name} is missing: {line}'
    assert int(line['duration_ms']) >= int(line['first_token_ms']) and int(line['bytes_out']) > 300
    gateway.get(f'/v1/nothing?key={CLIENT_KEY}', [('x-request-id', 'bad"id\\')])
    eq(gateway.line(-1, 2)['status'], '404')
    as_json = Gateway(args=['--log-format', 'json'], providers={'up': provider(up)}, default_provider='up')
    as_json.chat(headers=[('x-request-id', 'q"\\')])
    lines = until(lambda: [json.loads(line) for line in as_json.log.splitlines() if '"exchange"' in line])
    eq((lines[0]['id'], lines[0]['status'], lines[0]['tokens_out']), ('q"\\', 200, 7))
    for line in as_json.log.splitlines():
        json.loads(line)


def test_system_prompt():
    up = mock()
    for mode, kind in (('append', 'openai'), ('append', 'anthropic'), ('override', 'openai'), ('override', 'anthropic')):
        for client in ('chat', 'messages'):
            with sub(f'{mode}, {client} to {kind}'):
                with open(os.path.join(folder(), 'system.txt'), 'w') as file:
                    file.write('From the "file".')
                gateway = Gateway(providers={'up': provider(up, kind)}, default_provider='up', system_prompt={'file': os.path.join(folder(), 'system.txt'), 'mode': mode})
                messages = [{'role': 'user', 'content': 'x'}]
                body = {'model': 'm', 'max_tokens': 5, 'messages': ([{'role': 'system', 'content': 'Own.'}] + messages) if client == 'chat' else messages}
                if client == 'messages':
                    body['system'] = 'Own.'
                answer = getattr(gateway, client)(body)
                eq(answer.status, 200, answer.text)
                sent = up.last().json
                said = json.dumps(sent.get('system', [m for m in sent['messages'] if m['role'] in ('system', 'developer')]))
                assert 'From the \\"file\\".' in said, said
                eq('Own.' in said, mode == 'append', said)


# ---- life of the process ----------------------------------------------------------------------------------------

@alone
def test_client_leaves():
    """The upstream connection is closed within 100 ms, whether waiting for its head, streaming, or between tries."""
    up = mock()
    gateway = Gateway(providers={'o': provider(up), 'a': provider(up, 'anthropic')})
    up.on('quiet', Reply(wait=30))
    up.on('talks', Reply(turn=text('word ' * 2000, size=5), pace=0.02))
    for model in ('o/quiet', 'a/quiet', 'o/talks', 'a/talks'):
        for how in ('close', 'reset'):
            with sub(f'{model}, {how}'):
                best = 9.0
                for _ in range(4):
                    before = up.count()
                    raw = gateway.stream('/v1/chat/completions', {'model': model, 'stream': 'talks' in model, 'messages': [{'role': 'user', 'content': 'x'}]})
                    assert up.wait(lambda m: m.count() > before and m.last().read_at)
                    if 'talks' in model:
                        raw.head()
                        raw.chunk()
                    left = time.monotonic()
                    getattr(raw, how)()
                    assert up.wait(lambda m: m.last().gone_at), 'the upstream was not told'
                    best = min(best, up.last().gone_at - left)
                    if best < 0.1:
                        break
                assert best < 0.1 * SLOW_BUILD, f'{best * 1000:.0f} ms'
    gateway.idle()
    assert gateway.line()['end'][0] in 'cC', gateway.line()


def test_client_leaves_while_retrying():
    """Retry timers die with the client."""
    up = mock()
    up.default = Reply(status=500)
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', retry={'attempts': 5, 'base_delay_ms': 600})
    raw = gateway.stream('/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]})
    assert up.wait(lambda m: m.count() >= 1)
    time.sleep(0.1)
    raw.close()
    gateway.idle()
    count = up.count()
    time.sleep(1.5)
    eq(up.count(), count, 'requests after the client left')


def test_drain():
    """SIGTERM: no new connections, /ready 503, a running stream ends whole, exit 0."""
    up = mock()
    up.on('slow', Reply(turn=text('These words come slowly one by one.', size=5), pace=0.15))
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', workers=2)
    idle = gateway.connect()
    idle.request('GET', '/health')
    eq(idle.answer('GET').status, 200)
    raw = gateway.stream('/v1/chat/completions', {'model': 'slow', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]})
    raw.head()
    raw.chunk()
    gateway.terminate()
    assert idle.ends(), 'an idle connection stays'
    events = list(raw.events())
    eq(events[-1], (None, '[DONE]'))
    assert raw.ends()
    eq(gateway.wait_exit(), 0)


def test_drain_deadline():
    """What does not end within drain_ms is ended in its protocol; exit 0."""
    up = mock()
    up.default = Reply(turn=text('word ' * 1000, size=5), pace=0.05)
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', timeouts={'drain_ms': 700})
    raws = [gateway.stream(path, {'model': 'm', 'max_tokens': 9, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, [('anthropic-version', '2023-06-01')]) for path in ('/v1/chat/completions', '/v1/messages')]
    for raw in raws:
        raw.head()
    gateway.terminate()
    for raw, last in zip(raws, ('server_error', 'overloaded_error')):
        events = list(raw.events())
        eq(json.loads(events[-1][1])['error']['type'], last)
    eq(gateway.wait_exit(), 0)


@limit(60)
def test_reload():
    """SIGHUP: a new file takes effect, a broken one changes nothing, streams in flight end under the old one; all under load."""
    a, b = mock(), mock()
    a.on('slow', Reply(turn=text('old words ' * 8, size=5), pace=0.1))
    gateway = Gateway(providers={'up': provider(a)}, default_provider='up', workers=2)
    running = gateway.stream('/v1/chat/completions', {'model': 'slow', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]})
    running.head()
    kept = gateway.connect()
    kept.request('GET', '/health')
    kept.answer('GET')
    import threading
    stop, statuses = threading.Event(), []

    def load():
        raw = gateway.connect()
        while not stop.is_set():
            raw.request('POST', '/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]})
            statuses.append(raw.answer().status)
        raw.close()
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        gateway.write(dict(gateway.config, providers={'up': provider(b)}))
        gateway.reload()
        assert 'reloaded' in gateway.log
        before = a.count('m')
        assert until(lambda: b.count('m') > 5), 'the new upstream is not used'
        good = gateway.config
        gateway.write('{"providers": {"up": {"kind": "openai"}},, }')
        gateway.reload()
        assert 'reload_refused' in gateway.log
        assert re.search(r'ring2api\.json:1:\d+', gateway.log), 'the error has no place'
        count = b.count()
        assert until(lambda: b.count() > count + 5), 'a refused reload stopped traffic'
        for i in range(10):
            gateway.write(dict(good, providers={'up': provider(b if i % 2 else a)}))
            gateway.reload()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    eq(set(statuses), {200})
    assert before >= 0
    kept.request('GET', '/health')
    eq(kept.answer('GET').status, 200, 'a kept connection')
    events = list(running.events())
    eq(events[-1], (None, '[DONE]'))
    running.close()
    kept.close()
    gateway.idle()


def test_unix_sockets():
    """Listening on a path, and an upstream behind one."""
    path = os.path.join(folder(), 'up.sock')
    up = mock(unix=path)
    listen = os.path.join(folder(), 'in.sock')
    gateway = Gateway(listen=[f'unix:{listen}'], providers={'up': provider(f'http://unix:{path}:/v1')}, default_provider='up', workers=2)
    for _ in range(4):
        raw = Raw(listen)
        raw.request('POST', '/v1/chat/completions', {'model': 'm', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]})
        eq(chat_stream(raw.answer().events)['text'], 'Hello from the mock.')
    eq(up.last().path, '/v1/chat/completions')
    raw.request('GET', '/metrics')
    eq(raw.answer('GET').status, 200)


def test_workers():
    """Several workers share the load and the counters."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', workers=4)
    raws = [gateway.connect() for _ in range(40)]
    for raw in raws:
        raw.request('POST', '/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]})
    eq([r.answer().status for r in raws], [200] * 40)
    assert gateway.metrics()['ring2api_requests_total'] >= 40
    assert len(os.listdir(f'/proc/{gateway.process.pid}/task')) >= 5
    for raw in raws:
        raw.close()
    gateway.idle()


def test_strict_and_dropped():
    """What the target cannot carry is named in a header, or refused where that is asked."""
    up = mock()
    gateway = Gateway(providers={'a': provider(up, 'anthropic'), 's': provider(up, 'anthropic', strict=True)}, default_provider='a')
    body = {'messages': [{'role': 'user', 'content': 'x'}], 'seed': 7, 'logit_bias': {'1': 2}, 'frequency_penalty': 0.5}
    answer = gateway.chat(dict(body, model='a/m'))
    eq(answer.status, 200, answer.text)
    eq(set(answer.headers['x-ring2api-dropped'].split(',')), {'seed', 'logit_bias', 'frequency_penalty'})
    answer = gateway.chat(dict(body, model='s/m'))
    eq(answer.status, 400)
    assert 'seed' in answer.error[2]


@cases(('302', Reply(status=302, headers={'location': 'http://127.0.0.1:1/'}, body=b'moved')), ('garbage', Reply(garbage=b'SSH-2.0-OpenSSH_9\r\n')), ('html', Reply(status=200, body=b'<html>login</html>', headers={'content-type': 'text/html'})),
       ('gzip', Reply(gzip=True)), ('bad status', Reply(garbage=b'HTTP/1.1 abc x\r\n\r\n')), ('two lengths', Reply(garbage=b'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello')), ('huge head', Reply(garbage=b'HTTP/1.1 200 OK\r\nx: ' + b'a' * 200000)),
       ('empty', Reply(status=200, body=b'')), ('not JSON', Reply(status=200, body=b'{"id":')), ('other JSON', Reply(status=200, body=b'{"hello":"world"}')), ('HTTP/2 preface', Reply(garbage=b'\x00\x00\x12\x04\x00\x00\x00\x00\x00')), ('204', Reply(status=204, body=b'')),
       ('abrupt', Reply(abrupt=True)), ('bad chunk', Reply(garbage=b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n')))
def test_strange_upstreams(case):
    """An upstream that answers nonsense: 502 in the client's protocol, never a crash, a hang or an invented success."""
    _, reply = case
    for client, kind in (('chat', 'openai'), ('chat', 'anthropic'), ('messages', 'openai'), ('messages', 'anthropic')):
        for stream in (False, True):
            with sub(f'{client} to {kind}, {"stream" if stream else "plain"}'):
                up = mock()
                gateway = Gateway(providers={'up': provider(up, kind, retry={'attempts': 1})}, default_provider='up')
                up.default = reply
                answer = getattr(gateway, client)(model='m', max_tokens=5, stream=stream, messages=[{'role': 'user', 'content': 'x'}])
                relayed = (client == 'chat') == (kind == 'openai')
                if relayed and case[0] in ('html', 'empty', 'not JSON', 'other JSON', '204', '302') and answer.status in (200, 204, 302):
                    assert answer.body == (reply.body or b''), 'a relay changed bytes'  # its own words, whatever they are
                else:
                    eq(answer.status, 502, answer.text)
                    assert answer.error[0] in ('server_error', 'api_error')
                eq(gateway.get('/health').status, 200)


def test_early_answer():
    """An upstream that answers before it has read the body."""
    up = mock()
    up.early = Reply(status=413, message='too much', close=True)
    gateway = Gateway(providers={'up': provider(up, retry={'attempts': 1})}, default_provider='up')
    answer = gateway.chat(model='m', messages=[{'role': 'user', 'content': 'x' * 3000000}])
    eq(answer.status, 413, answer.text)
    answer = gateway.messages(model='m', max_tokens=5, messages=[{'role': 'user', 'content': 'x' * 3000000}])
    eq((answer.status, answer.error[0]), (413, 'request_too_large'))


def test_large_answers():
    """An answer of 20 MB comes whole, relayed and translated."""
    up = mock()
    up.default = Reply(turn=text('äbc ' * 4000000, size=100000))
    for kind in ('openai', 'anthropic'):
        gateway = Gateway(providers={'up': provider(up, kind)}, default_provider='up')
        with sub(f'plain, {kind}'):
            eq(len(gateway.chat().json()['choices'][0]['message']['content']), 16000000)
        with sub(f'stream, {kind}'):
            eq(len(chat_stream(gateway.chat(model='m', stream=True, messages=[{'role': 'user', 'content': 'x'}]).events)['text']), 16000000)
        with sub(f'memory given back, {kind}'):
            gateway.idle()
            assert until(lambda: gateway.memory_used() < 524288), gateway.memory_used()


def test_output_limit():
    """An answer that must be kept whole and outgrows limits.output_bytes: 502, not memory."""
    up = mock()
    up.default = text('abcd' * 1000000, size=100000)
    gateway = Gateway(providers={'up': provider(up, 'anthropic', retry={'attempts': 1})}, default_provider='up', limits={'output_bytes': 1000000})
    answer = gateway.chat()
    eq(answer.status, 502, answer.text[:300])
    gateway.idle()


def test_slow_upstream_reader():
    """An upstream that reads slowly: a large request arrives whole."""
    up = mock()
    up.read_delay = 0.5
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up')
    body = json.dumps({'model': 'm', 'messages': [{'role': 'user', 'content': 'x' * 9000000}]}).encode()
    eq(gateway.post('/v1/chat/completions', body).status, 200)
    eq(up.last().body, body)

"""Corners: interim answers, the wrong kind of answer, exhausted descriptors, deaf log readers, options close to the request."""
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time

from harness import (BIN, CLIENT_KEY, PROMPT, UP_KEY, Gateway, Raw, Reply, SLOW_BUILD, Skip, calls, cases, chat_stream, cleanup, eq, folder, limit, message_stream, mock, provider, refused_port, sub, text, think, until)
from mock import anthropic_messages, openai_chat

VERSION = [('anthropic-version', '2023-06-01')]
PATHS = {'openai': '/v1/chat/completions', 'anthropic': '/v1/messages'}
PAIRS = [(f'{c} to {u}', c, u) for c in PATHS for u in PATHS]
WEATHER = {'type': 'object', 'properties': {'city': {'type': 'string'}}}


def ask(model='m', stream=False, **more):
    return dict({'model': model, 'max_tokens': 100, 'stream': stream, 'messages': [{'role': 'user', 'content': PROMPT}]}, **more)


def start(kind='openai', gateway=None, **more):
    up = mock()
    return up, Gateway(providers={'up': provider(up, kind, **dict({'retry': {'attempts': 1}}, **more))}, default_provider='up', **(gateway or {}))


def stream_of(client, answer):
    return (chat_stream if client == 'openai' else message_stream)([e for e in answer.events])


@cases(*PAIRS)
def test_plain_answer_to_a_stream(case):
    """An upstream that answers a stream's request with one JSON document: the client still gets its stream."""
    _, client, kind = case
    up, gateway = start(kind)
    turn = text('All at once.') + calls(('c1', 'f', '{"a": 1}'))
    dialect = openai_chat if kind == 'openai' else anthropic_messages
    up.default = lambda r: Reply(body=dialect.plain(turn, r))
    answer = gateway.post(PATHS[client], ask(stream=True), VERSION)
    eq((answer.status, answer.headers['content-type']), (200, 'text/event-stream'))
    out = stream_of(client, answer)
    eq((out['text'], [c[1] for c in out['calls']]), ('All at once.', ['f']))


@cases(*PAIRS)
def test_error_document_under_200(case):
    """An error object under a 200 is an error."""
    _, client, kind = case
    up, gateway = start(kind)
    dialect = openai_chat if kind == 'openai' else anthropic_messages
    up.default = Reply(body=dialect.error_body(529, 'overloaded in disguise'))
    for stream in (False, True):
        with sub('stream' if stream else 'plain'):
            answer = gateway.post(PATHS[client], ask(stream=stream), VERSION)
            if client == kind and not stream:
                assert 'overloaded in disguise' in answer.text
            else:
                assert answer.status >= 500, answer
                assert 'overloaded in disguise' in answer.error[2]


def test_interim_answers():
    """100 and 103 before the answer, several, are passed over."""
    up, gateway = start()
    body = openai_chat.plain(text('After interim.'), type('R', (), {'model': 'm'}))
    up.default = Reply(garbage=b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n' % len(body) + body)
    eq(gateway.chat().json()['choices'][0]['message']['content'], 'After interim.')
    up.default = Reply(garbage=b'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n')
    eq(gateway.chat().status, 502)
    up.default = Reply(garbage=b'HTTP/1.1 103 Early Hints\r\n\r\n' * 2000)
    eq(gateway.chat().status, 502, 'interim answers for ever')


def test_bytes_after_an_answer():
    """What an upstream sends after its answer is never the next one's."""
    up, gateway = start()
    body = openai_chat.plain(text('First.'), type('R', (), {'model': 'm'}))
    head = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n' % len(body)
    evil = head + body.replace(b'First.', b'Evil!!')
    up.on('evil', Reply(garbage=head + body + evil))
    for _ in range(4):
        eq(gateway.chat(ask('evil')).json()['choices'][0]['message']['content'], 'First.')
        eq(gateway.chat(ask('good')).json()['choices'][0]['message']['content'], 'Hello from the mock.')


def test_head_of_the_answer():
    """Obsolete spellings an upstream may use: no reason phrase, odd case, repeated headers, upper-case chunk sizes."""
    up, gateway = start()
    body = openai_chat.plain(text('Odd but right.'), type('R', (), {'model': 'm'}))
    for name, data in (('no reason', b'HTTP/1.1 200\r\nContent-Length: %d\r\ncontent-type: application/json\r\n\r\n' % len(body) + body), ('case', b'HTTP/1.1 200 OK\r\nCONTENT-LENGTH:%d\r\nCONTENT-TYPE:Application/JSON; Charset=UTF-8\r\n\r\n' % len(body) + body),
                       ('repeated', b'HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\nvary: x\r\nvary: y\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n' % len(body) + body),
                       ('chunks', b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n%X\r\n' % len(body) + body + b'\r\n0\r\n\r\n')):
        with sub(name):
            up.default = Reply(garbage=data)
            answer = gateway.chat()
            eq(answer.status, 200, answer.text)
            eq(answer.json()['choices'][0]['message']['content'], 'Odd but right.')


@cases(*PAIRS)
def test_long_events(case):
    """A single event of 2 MB, and 20,000 of a few bytes."""
    _, client, kind = case
    up, gateway = start(kind)
    for name, turn in (('long', text('x' * 2000000, size=2000000)), ('many', text('ab ' * 20000, size=3))):
        with sub(name):
            up.default = Reply(turn=turn, join=1 if name == 'long' else 500)
            answer = gateway.post(PATHS[client], ask(stream=True), VERSION)
            eq(len(stream_of(client, answer)['text']), len(turn.text()))


@cases(*PAIRS)
@limit(60)
def test_large_requests(case):
    """A 10 MB image arrives byte for byte, relayed and translated."""
    import base64
    _, client, kind = case
    up, gateway = start(kind)
    data = base64.b64encode(os.urandom(7500000)).decode()
    part = {'type': 'image_url', 'image_url': {'url': f'data:image/png;base64,{data}'}} if client == 'openai' else {'type': 'image', 'source': {'type': 'base64', 'media_type': 'image/png', 'data': data}}
    answer = gateway.post(PATHS[client], ask(messages=[{'role': 'user', 'content': [{'type': 'text', 'text': 'What?'}, part]}]), VERSION)
    eq(answer.status, 200, answer.text)
    assert data in json.dumps(up.last().json['messages']), 'the image changed'
    gateway.idle()
    assert until(lambda: gateway.memory_used() < 1048576)


def test_tool_results():
    """Results as text, parts, errors, images: each as the other protocol can hold it."""
    up, gateway = start('openai')
    png = 'iVBORw0KGgo='
    history = lambda *results: ask(tools=[{'name': 'f', 'input_schema': WEATHER}], messages=[  # noqa: E731
        {'role': 'user', 'content': 'x'}, {'role': 'assistant', 'content': [{'type': 'tool_use', 'id': f't{i}', 'name': 'f', 'input': {}} for i in range(len(results))]},
        {'role': 'user', 'content': [dict({'type': 'tool_result', 'tool_use_id': f't{i}'}, **r) for i, r in enumerate(results)] + [{'type': 'text', 'text': 'And now?'}]}])
    eq(gateway.messages(history({'content': 'plain'}, {'content': [{'type': 'text', 'text': 'one'}, {'type': 'text', 'text': 'two'}]}, {'content': 'it broke', 'is_error': True}, {},
                                {'content': [{'type': 'text', 'text': 'see'}, {'type': 'image', 'source': {'type': 'base64', 'media_type': 'image/png', 'data': png}}]})).status, 200)
    sent = up.last().json['messages']
    results = [m for m in sent if m['role'] == 'tool']
    eq([m['tool_call_id'] for m in results], ['t0', 't1', 't2', 't3', 't4'])
    texts = [m['content'] if isinstance(m['content'], str) else '\n'.join(p['text'] for p in m['content']) for m in results]
    eq(texts[0], 'plain')
    eq(texts[1], 'one\ntwo')
    assert texts[2].lower().startswith('error') and 'it broke' in texts[2]
    eq(texts[3], '')
    assert 'see' in texts[4]
    assert png in json.dumps(sent[sent.index(results[-1]) + 1:]), 'the image of a result is lost'
    assert 'And now?' in json.dumps(sent[sent.index(results[-1]) + 1:])


def test_history_is_repaired():
    """What Anthropic is strict about, from clients that are not: empty texts, results in several messages, foreign ids, prefill with a blank."""
    up, gateway = start('anthropic')
    answer = gateway.chat(ask(messages=[
        {'role': 'system', 'content': ''}, {'role': 'user', 'content': 'x'},
        {'role': 'assistant', 'content': '', 'tool_calls': [{'id': 'call.a:1', 'type': 'function', 'function': {'name': 'f', 'arguments': ''}}, {'id': 'call.b:2', 'type': 'function', 'function': {'name': 'f', 'arguments': 'not json'}}]},
        {'role': 'tool', 'tool_call_id': 'call.b:2', 'content': 'second'}, {'role': 'tool', 'tool_call_id': 'call.a:1', 'content': ''},
        {'role': 'assistant', 'content': None, 'tool_calls': [{'id': 'call.a:3', 'type': 'function', 'function': {'name': 'f', 'arguments': '[1]'}}]}, {'role': 'tool', 'tool_call_id': 'call.a:3', 'content': [{'type': 'text', 'text': 'third'}]},
        {'role': 'user', 'content': 'and'}, {'role': 'user', 'content': [{'type': 'text', 'text': ''}, {'type': 'text', 'text': 'more'}]}, {'role': 'assistant', 'content': 'Begin '}],
        tools=[{'type': 'function', 'function': {'name': 'f'}}]))
    eq(answer.status, 200, answer.text)
    sent = up.last().json['messages']
    inputs = [p['input'] for m in sent if m['role'] == 'assistant' and isinstance(m['content'], list) for p in m['content'] if p['type'] == 'tool_use']
    eq(inputs, [{}, {'_raw': 'not json'}, {'value': [1]}])


@cases('openai', 'anthropic')
def test_masked_errors(kind):
    """An upstream's key in its own error message does not reach a client of the other protocol."""
    up, gateway = start(kind)
    up.default = Reply(status=400, message=f'Incorrect API key provided: {UP_KEY}. See https://upstream.example/keys')
    for client in PATHS:
        answer = gateway.post(PATHS[client], ask(), VERSION)
        assert UP_KEY not in answer.text, answer.text


def test_nearest_options_win():
    """timeouts in a route, a provider, the file: member by member; strict in a key."""
    up = mock()
    up.on('slow', Reply(turn=text('late'), wait=1.0))
    gateway = Gateway(providers={'p': provider(up, retry={'attempts': 1}, timeouts={'first_byte_ms': 300}), 'q': provider(up, retry={'attempts': 1}), 's': provider(up, 'anthropic')}, timeouts={'first_byte_ms': 5000},
                      routes=[{'model': 'slow', 'to': ['p'], 'timeouts': {'first_byte_ms': 3000}}], api_keys=[CLIENT_KEY, {'name': 'strict', 'key': 'sk-strict-SECRET', 'strict': True}])
    key = [('x-api-key', CLIENT_KEY)]
    eq(gateway.chat(ask('slow'), key).status, 200, "the route's")
    eq(gateway.chat(ask('p/slow'), key).status, 504, "the provider's")
    eq(gateway.chat(ask('q/slow'), key).status, 200, "the file's")
    eq(gateway.chat(ask('s/m', seed=1), key).status, 200)
    eq(gateway.chat(ask('s/m', seed=1), [('x-api-key', 'sk-strict-SECRET')]).status, 400)


def test_reload_of_addresses():
    """A change of workers waits for the next start, and the log says so; addresses move at once, connections stay."""
    up, gateway = start()
    kept = gateway.connect()
    gateway.write(dict(gateway.config, workers=3, listen=[f'{gateway.host}:{gateway.port + 50}']))
    gateway.reload()
    assert 'restart' in gateway.log, gateway.log
    kept.request('POST', PATHS['openai'], ask())
    eq(kept.answer().status, 200, 'a connection through the old address')
    try:
        gateway.connect()
        raise AssertionError('the old address still listens')
    except ConnectionRefusedError:
        pass
    gateway.port += 50
    eq(gateway.chat().status, 200)


def test_second_signal():
    """A second SIGTERM does not wait for the streams."""
    up, gateway = start()
    up.default = Reply(turn=text('word ' * 1000, size=5), pace=0.1)
    raw = gateway.stream(PATHS['openai'], ask(stream=True))
    raw.head()
    gateway.terminate()
    time.sleep(0.3)
    assert gateway.process.poll() is None, 'the first one did not drain'
    gateway.terminate()
    gateway.wait_exit(8)


def test_drain_with_a_body_on_its_way():
    """SIGTERM while a request's body arrives: it is served, or refused as draining; never cut off silently."""
    up, gateway = start()
    body = json.dumps(ask()).encode()
    raw = gateway.connect()
    raw.send(b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n' % len(body) + body[:10])
    time.sleep(0.2)
    gateway.terminate()
    time.sleep(0.2)
    raw.send(body[10:])
    answer = raw.answer()
    assert answer.status in (200, 503), answer
    eq(answer.headers['connection'], 'close')
    eq(gateway.wait_exit(), 0)


@limit(60)
def test_descriptors_run_out():
    """With few descriptors: connections beyond them wait or are refused, nothing spins, and it recovers."""
    up = mock()
    up.on('slow', Reply(turn=text('x'), wait=1.5))
    path = os.path.join(folder(), 'few.json')
    port = refused_port()
    with open(path, 'w') as file:
        json.dump({'listen': [f'127.0.0.1:{port}'], 'workers': 1, 'providers': {'up': provider(up, retry={'attempts': 1})}, 'default_provider': 'up'}, file)
    process = subprocess.Popen([BIN, 'serve', '-c', path], stdout=subprocess.DEVNULL, stderr=open(os.path.join(folder(), 'few.log'), 'wb'), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    cleanup(process.kill)

    def connect():
        try:
            return Raw(('127.0.0.1', port), timeout=8)
        except OSError:
            return None
    first = until(connect, 10)
    if process.poll() is not None:
        log = open(os.path.join(folder(), 'few.log')).read()
        assert process.returncode in (1, 2) and log.strip(), 'ended without a word'
        raise Skip('it refuses to start with 64 descriptors, and says so')
    raws = [r for r in (connect() for _ in range(150)) if r]
    for raw in raws:
        try:
            raw.request('POST', '/v1/chat/completions', ask('slow'))
        except OSError:
            pass
    before = os.times()
    time.sleep(1)
    with open(f'/proc/{process.pid}/stat') as file:
        spent = file.read().rsplit(') ', 1)[1].split()
    ticks = int(spent[11]) + int(spent[12])
    time.sleep(1)
    with open(f'/proc/{process.pid}/stat') as file:
        spent = file.read().rsplit(') ', 1)[1].split()
    assert int(spent[11]) + int(spent[12]) - ticks < 60, f'busy while out of descriptors: {int(spent[11]) + int(spent[12]) - ticks} ticks in a second'
    statuses = {}
    for raw in raws:
        try:
            status = raw.answer().status
        except (OSError, AssertionError):
            status = None
        statuses[status] = statuses.get(status, 0) + 1
        raw.close()
    assert statuses.get(200, 0) >= 5, statuses
    assert set(statuses) <= {200, 502, 503, None}, statuses

    def fine():
        raw = connect()
        if raw is None:
            return False
        try:
            raw.request('POST', '/v1/chat/completions', ask('m'))
            return raw.answer().status == 200
        except (OSError, AssertionError):
            return False
        finally:
            raw.close()
    assert until(fine, 8), 'it did not recover'
    process.send_signal(signal.SIGTERM)
    eq(process.wait(20), 0)


@cases('not read', 'closed')
def test_log_reader(how):
    """A log nobody reads, or whose reader has died, stops no request."""
    port = refused_port()
    process = subprocess.Popen([BIN, '--port', str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder())
    cleanup(process.kill)

    def connect():
        try:
            return Raw(('127.0.0.1', port), timeout=8)
        except OSError:
            return None
    raw = until(connect, 10)
    assert raw, 'not up'
    if how == 'closed':
        process.stderr.close()
    for i in range(3000):
        raw.request('POST', '/v1/chat/completions', {'model': 'x', 'messages': [{'role': 'user', 'content': 'hi'}]}, [('x-request-id', 'r' * 120)])
        eq(raw.answer().status, 200)
    if how == 'not read':
        raw.request('GET', '/health')
        eq(raw.answer('GET').status, 200)
        sink = threading.Thread(target=process.stderr.read)
        sink.start()
        cleanup(sink.join)
    process.send_signal(signal.SIGTERM)
    eq(process.wait(20), 0)


def test_unix_socket_left_behind():
    """A socket file of a dead process is replaced; one somebody listens on is not taken away."""
    listen = os.path.join(folder(), 'g.sock')
    old = socket.socket(socket.AF_UNIX)
    old.bind(listen)
    old.close()
    up = mock()
    gateway = Gateway(listen=[f'unix:{listen}'], providers={'up': provider(up)}, default_provider='up')
    raw = Raw(listen)
    raw.request('GET', '/health')
    eq(raw.answer('GET').status, 200)
    second = Gateway(listen=[f'unix:{listen}'], providers={'up': provider(up)}, default_provider='up', wait=False)
    assert until(lambda: second.process.poll() is not None, 6), 'two listen on one path'
    eq(second.wait_exit(), 1)
    raw = Raw(listen)
    raw.request('GET', '/health')
    eq(raw.answer('GET').status, 200)


def test_ipv6():
    probe = socket.socket(socket.AF_INET6)
    try:
        probe.bind(('::1', 0))
    except OSError:
        raise Skip('no IPv6 here') from None
    port = probe.getsockname()[1]
    probe.close()
    up = mock()
    gateway = Gateway(listen=[f'[::1]:{port}'], providers={'up': provider(up)}, default_provider='up')
    sock = socket.create_connection(('::1', port), 5)
    sock.sendall(b'GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    assert sock.recv(100).startswith(b'HTTP/1.1 200')


def test_expect_beyond_the_limit():
    """A body announced too large is refused before it is asked for."""
    up, gateway = start(gateway={'limits': {'body_bytes': 20000}})
    raw = gateway.connect()
    raw.send(b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\nexpect: 100-continue\r\n\r\n')
    answer = raw.answer()
    eq((answer.interim, answer.status), ([], 413))
    assert raw.ends()


def test_refusal_while_the_body_comes():
    """A client that sends 5 MB to a wrong key gets its 401, not a reset."""
    up, gateway = start(gateway={'api_keys': [CLIENT_KEY]})
    lost = 0
    for _ in range(5):
        raw = gateway.connect()
        try:
            raw.request('POST', '/v1/chat/completions', b'{"x":"' + b'y' * 5000000 + b'"}', [('x-api-key', 'wrong')])
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            eq(raw.answer().status, 401)
        except ConnectionResetError:
            lost += 1
        raw.close()
    eq(lost, 0, 'answers lost to a reset')
    gateway.idle()


def test_retry_after_dates():
    """retry-after as an HTTP date is understood and passed on as it was."""
    import email.utils
    up, gateway = start()
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    up.default = Reply(status=429, headers={'retry-after': date})
    answer = gateway.chat()
    eq((answer.status, answer.headers['retry-after']), (429, date))
    again = gateway.messages()
    eq(again.status, 429)
    assert 60 <= int(again.headers['retry-after']) <= 95, again.headers


def test_no_usage():
    """An upstream that says nothing of tokens: the answer stands, an estimate is logged and marked."""
    for client, kind in (('openai', 'anthropic'), ('anthropic', 'openai'), ('openai', 'openai')):
        with sub(f'{client} to {kind}'):
            up, gateway = start(kind)
            dialect = openai_chat if kind == 'openai' else anthropic_messages

            def without(request):
                events = dialect.stream(text('Nobody counted these words.'), request)
                return Reply(events=[e for e in events if b'"choices":[]' not in e] if kind == 'openai' else [e.replace(b',"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":7,"service_tier":"standard"}', b'') for e in events])
            up.default = without
            answer = gateway.post(PATHS[client], ask(stream=True), VERSION)
            eq(stream_of(client, answer)['text'], 'Nobody counted these words.')
            line = gateway.line()
            if kind == 'openai':
                eq(line.get('estimated'), '1', line)
                assert int(line['tokens_out']) >= 5, line


def test_vendor_oddities():
    """Chat Completions as others speak it: no ids, whole calls in one delta, wrong finish reasons, usage anywhere, blank lines."""
    up, gateway = start('openai')
    chunk = lambda delta, finish=None, **more: b'data: ' + json.dumps(dict({'id': 'x', 'object': 'chat.completion.chunk', 'created': 1, 'model': 'm', 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]}, **more)).encode() + b'\n\n'  # noqa: E731
    done = b'data: [DONE]\n\n'
    for name, events, words, names, finish in (
            ('whole call, no id, finish stop', [chunk({'role': 'assistant', 'content': None, 'tool_calls': [{'function': {'name': 'f', 'arguments': '{"a":1}'}}]}), chunk({}, 'stop'), done], '', ['f'], 'tool_use'),
            ('index always 0', [chunk({'tool_calls': [{'index': 0, 'id': 'a', 'type': 'function', 'function': {'name': 'f', 'arguments': '{}'}}]}), chunk({'tool_calls': [{'index': 0, 'id': 'b', 'type': 'function', 'function': {'name': 'g', 'arguments': '{"x":2}'}}]}), chunk({}, 'tool_calls'), done], '', ['f', 'g'], 'tool_use'),
            ('role in each', [chunk({'role': 'assistant', 'content': 'a'}), chunk({'role': 'assistant', 'content': 'b'}), chunk({'role': 'assistant', 'content': ''}, 'stop', usage={'prompt_tokens': 3, 'completion_tokens': 2, 'total_tokens': 5}), done], 'ab', [], 'end_turn'),
            ('blank lines and comments', [b'\n\n\n: ping\n\n', chunk({'content': 'a'}), b': x\n', b'\n', chunk({}, 'length'), b'\n', done], 'a', [], 'max_tokens'),
            ('reasoning', [chunk({'reasoning': 'hm'}), chunk({'content': 'ok'}), chunk({}, 'stop'), done], 'ok', [], 'end_turn'),
            ('no [DONE]', [chunk({'content': 'a'}), chunk({}, 'stop')], 'a', [], 'end_turn'),
            ('one chunk', [chunk({'role': 'assistant', 'content': 'all'}, 'stop'), done], 'all', [], 'end_turn'),
            ('split surrogate', [b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":null}]}\n\n', b'data: {"choices":[{"index":0,"delta":{"content":"\\ude00"},"finish_reason":null}]}\n\n', chunk({}, 'stop'), done], '😀', [], 'end_turn')):
        with sub(name):
            up.default = Reply(events=events)
            answer = gateway.post(PATHS['anthropic'], ask(stream=True, tools=[{'name': n, 'input_schema': WEATHER} for n in 'fg']), VERSION)
            eq(answer.status, 200, answer.text)
            out = message_stream(answer.events)
            eq((out['text'], [c[1] for c in out['calls']], out['finish']), (words, names, finish))
            for made in out['calls']:
                json.loads(made[2])
                assert made[0], 'a call without an id'
            eq(len({c[0] for c in out['calls']}), len(out['calls']), 'ids')


def test_client_connection_carries_many():
    """A thousand exchanges of every kind over one connection."""
    up, gateway = start('anthropic')
    raw = gateway.connect()
    for i in range(1000):
        kind = i % 5
        if kind == 0:
            raw.request('GET', '/health')
            eq(raw.answer('GET').status, 200)
        elif kind == 1:
            raw.request('POST', PATHS['openai'], ask(stream=True))
            eq(chat_stream(raw.answer().events)['text'], 'Hello from the mock.')
        elif kind == 2:
            raw.request('POST', PATHS['anthropic'], ask(), VERSION)
            eq(raw.answer().json()['content'][0]['text'], 'Hello from the mock.')
        elif kind == 3:
            raw.request('POST', PATHS['openai'], b'{"model":')
            eq(raw.answer().status, 400)
        else:
            raw.request('GET', f'/nothing/{i}')
            eq(raw.answer('GET').status, 404)
    raw.close()
    gateway.idle()

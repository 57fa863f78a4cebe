"""The same protocol on both sides: bytes are kept (conversion.md 6), but for the few edits that are allowed."""
import json
import time

from mock import anthropic_messages, openai_chat

from harness import (CLIENT_KEY, PROMPT, UP_KEY, Gateway, Reply, calls, cases, chat_stream, eq, message_stream, mock, provider, sse, sub, text, think)

ODD_CHAT = ('{ "messages" : [ {"role":"user","content":"a\\u0062\\/c \\ud83d\\ude00 ' + PROMPT + '", "x_vendor" : [1.0, 1e400, -0, 12345678901234567890]} ],\r\n\t'
            '"model":"MODEL" , "temperature":0.70, "top_k": 5, "unknown": {"deep": [[], {}, null, true, "model"], "model":"not this"}, "seed": 0042e0, "a":1, "a":2 }').replace('0042e0', '42e0')
ODD_MESSAGES = ('{"max_tokens" : 1E2, "system":[{"type":"text","text":"x\\u00e9","cache_control":{"type":"ephemeral","ttl":"1h"}}],\n'
                '"messages":[{"role":"user","content":[{"type":"text","text":"' + PROMPT + '"},{"type":"future_block","n":1.50}]},'
                '{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"EqRs+/="}]}],"model":"MODEL","thinking":{"type":"later","x":0.10}, "metadata":{"user_id":"{\\"a\\":1}"}}')


def start(kind, **more):
    up = mock(lenient=True)
    return up, Gateway(providers={'up': provider(up, kind)}, default_provider='up', **more)


@cases(('openai', '/v1/chat/completions', ODD_CHAT), ('anthropic', '/v1/messages?beta=true', ODD_MESSAGES))
def test_request_bytes(case):
    """Order, white space, escapes, spelling of numbers and unknown members arrive as they were."""
    kind, path, body = case
    up, gateway = start(kind)
    answer = gateway.post(path, body.encode(), [('anthropic-version', '2023-06-01'), ('anthropic-beta', 'a-1, b-2')] if kind == 'anthropic' else [])
    eq(answer.status, 200, answer.text)
    eq(up.last().body, body.encode())
    if kind == 'anthropic':
        eq(up.last().headers.get('anthropic-beta'), 'a-1, b-2')
        eq(up.last().headers['anthropic-version'], '2023-06-01')


@cases(('openai', '/v1/chat/completions', ODD_CHAT), ('anthropic', '/v1/messages', ODD_MESSAGES))
def test_model_edit(case):
    """A prefix or an alias changes the model's string and nothing else."""
    kind, path, body = case
    up, gateway = start(kind, routes=[{'model': 'alias', 'to': ['up/real-"name"']}])
    headers = [('anthropic-version', '2023-06-01')] if kind == 'anthropic' else []
    for asked, sent in (('up/the-model', '"the-model"'), ('alias', '"real-\\"name\\""'), ('up/org/deep:free', '"org/deep:free"')):
        answer = gateway.post(path, body.replace('"MODEL"', json.dumps(asked)).encode(), headers)
        eq(answer.status, 200, answer.text)
        eq(up.last().body, body.replace('"MODEL"', sent).encode(), asked)


def test_model_key_escaped():
    """Keys are compared after unescaping; a tool's property called model is data."""
    up, gateway = start('openai')
    body = '{"messages":[{"role":"user","content":"x"}],"tools":[{"model":"inner"}],"mod\\u0065l":"up/m2"}'
    eq(gateway.post('/v1/chat/completions', body.encode()).status, 200)
    eq(up.last().body, body.replace('up/m2', 'm2').encode())


@cases('model', 'stream', 'messages')
def test_duplicate_keys_refused(name):
    """Routing and upstream must not disagree about which one counts."""
    up, gateway = start('openai')
    extra = {'model': '"other"', 'stream': 'false', 'messages': '[]'}[name]
    body = '{"model":"m","stream":false,"messages":[{"role":"user","content":"x"}],"%s":%s}' % (name, extra)
    answer = gateway.post('/v1/chat/completions', body.encode())
    eq(answer.status, 400, answer.text)
    eq(up.count(), 0)


def test_include_usage_edit():
    """stream_options: inserted, completed or replaced in place."""
    up, gateway = start('openai')
    for before, after in (
            ('{"model":"m","stream":true,"messages":[]}', None),
            ('{"model":"m","stream":true,"stream_options":{},"messages":[]}', '"stream_options":{"include_usage":true}'),
            ('{"model":"m","stream":true,"stream_options":{"include_usage":false},"messages":[]}', '"stream_options":{"include_usage":true}'),
            ('{"model":"m","stream":true,"stream_options":{"x":1},"messages":[]}', '"x":1'),
            ('{"model":"m","stream":true,"stream_options":null,"messages":[]}', None)):
        answer = gateway.post('/v1/chat/completions', before.encode())
        eq(answer.status, 200)
        sent = json.loads(up.last().body)
        eq(sent['stream_options']['include_usage'], True, before)
        if after:
            assert after.encode() in up.last().body, up.last().body
        for name in ('model', 'messages'):
            eq(sent[name], json.loads(before)[name])
        assert '"usage"' not in answer.text.replace('"usage":null', ''), 'the usage chunk was shown to a client that had not asked'
        eq(answer.events[-1], (None, '[DONE]'))
    asked = '{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}'
    answer = gateway.post('/v1/chat/completions', asked.encode())
    eq(up.last().body, asked.encode())
    eq(chat_stream(answer.events)['usage']['completion_tokens'], 7)


STREAM_CHAT = [b': comment\n\n', b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"\xc3\xa9"},"finish_reason":null}],"vendor":1.0}\n\n',
               b'data:{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"\\ud83d\\ude00"},"finish_reason":null}]}\r\n\r\n',
               b'event: odd\nid: 7\nretry: 10\ndata: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m",\ndata: "choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', b'data: [DONE]\n\n']
STREAM_MESSAGES = [b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}, "x":1.0 }\n\n',
                   b'event: ping\ndata: {"type": "ping"}\n\n', b'event: future_event\ndata: {"type":"future_event"}\n\n', b': c\n\n',
                   b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
                   b'event: content_block_delta\r\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\xe4\xb8\x96"}}\r\n\r\n',
                   b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
                   b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}\n\n', b'event: message_stop\ndata: {"type":"message_stop"}\n\n']


@cases(('openai', 'chat', STREAM_CHAT), ('anthropic', 'messages', STREAM_MESSAGES))
def test_stream_bytes(case):
    """Event names, comments, pings, unknown events, line ends, blank lines: as the upstream wrote them, however they were cut."""
    kind, method, events = case
    up, gateway = start(kind)
    body = {'model': 'm', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}
    body.update({'stream_options': {'include_usage': True}} if kind == 'openai' else {'max_tokens': 9})
    for name, reply in (('whole events', {}), ('one write', {'join': 99}), ('a byte a write', {'step': 1}), ('7 bytes a write', {'step': 7}), ('until close', {'framing': 'close'}), ('of known length', {'framing': 'length'}),
                        ('HTTP/1.0', {'http10': True})):
        with sub(name):
            up.default = Reply(events=events, **reply)
            answer = getattr(gateway, method)(body)
            eq(answer.status, 200)
            eq(answer.headers['content-type'], 'text/event-stream')
            eq(answer.body, b''.join(events))


@cases(('openai', 'chat'), ('anthropic', 'messages'))
def test_answer_bytes(case):
    """A plain answer's body, also an odd one, and its content type."""
    kind, method = case
    up, gateway = start(kind)
    known = {'openai': b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1.0,"completion_tokens":2,"total_tokens":3}, "v":[1.0,1e400]}',
             'anthropic': b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"},{"type":"new","x":0.10}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2},  "later":{}}'}[kind]
    for name, reply in (('of known length', {}), ('chunked', {'framing': 'chunked'}), ('until close', {'framing': 'close'}), ('HTTP/1.0', {'http10': True}), ('a byte a write', {'step': 1, 'framing': 'chunked'}), ('connection: close', {'close': True})):
        with sub(name):
            up.default = Reply(body=known, headers={'set-cookie': 'a=b', 'x-ratelimit-remaining-requests': '5', 'anthropic-ratelimit-tokens-limit': '9', 'connection': 'keep-alive'} if not reply.get('close') else {}, **reply)
            answer = getattr(gateway, method)()
            eq((answer.status, answer.body), (200, known))
            for banned in ('set-cookie', 'x-ratelimit-remaining-requests', 'keep-alive'):
                assert banned not in answer.headers, answer.headers
            eq(answer.headers['x-ring2api-upstream-id'], 'req_mock1')
            assert answer.headers['x-request-id'] != 'req_mock1'


@cases(('openai', 'chat'), ('anthropic', 'messages'))
def test_error_bytes(case):
    """An upstream's error keeps its status, body and retry-after; a credential in it does not come through."""
    kind, method = case
    up, gateway = start(kind, retry={'attempts': 1})
    body = b'{"error": {"message":"no such thing", "type":"invalid_request_error","param":"x" ,"code":7}, "extra":1.0}'
    up.default = Reply(status=422, body=body)
    answer = getattr(gateway, method)()
    eq((answer.status, answer.body), (422, body))
    up.default = Reply(status=400, body=b'{"error":{"message":"bad key %s here","type":"invalid_request_error"}}' % UP_KEY.encode())
    answer = getattr(gateway, method)()
    eq(answer.status, 400)
    assert UP_KEY.encode() not in answer.body, answer.body
    for key in (UP_KEY.replace('-', '\\u002d'), UP_KEY.replace('S', '\\u0053', 1)):
        up.default = Reply(status=400, body=b'{"error":{"message":"bad key %s here","type":"invalid_request_error"}}' % key.encode())
        answer = getattr(gateway, method)()
        eq(answer.status, 400)
        assert key not in answer.text and UP_KEY not in answer.text, answer.body
    for status in (600, 999):  # no status at all: as a 5xx (RFC 9110 15)
        up.default = Reply(status=status, body=body)
        answer = getattr(gateway, method)()
        eq((answer.status, answer.body), (500, body))
    up.default = Reply(status=529, body=b'{"error":{"message":"busy","type":"overloaded_error"}}', headers={'retry-after': '3', 'x-should-retry': 'false'})
    answer = getattr(gateway, method)()
    eq(answer.status, 529)
    eq(answer.headers.get('retry-after'), '3')
    eq(answer.headers.get('x-should-retry'), 'false')


def test_headers_forwarded():
    """What may pass, and what must not."""
    up, gateway = start('openai', api_keys=[CLIENT_KEY])
    answer = gateway.chat(headers=[('authorization', f'Bearer {CLIENT_KEY}'), ('user-agent', 'agent/1'), ('openai-beta', 'x=1'), ('idempotency-key', 'idem'), ('traceparent', '00-1-2-01'),
                                   ('openai-organization', 'org-secret'), ('openai-project', 'p'), ('cookie', 'c=1'), ('x-stainless-lang', 'js'), ('accept-encoding', 'gzip, br'), ('te', 'trailers'),
                                   ('x-forwarded-for', '1.2.3.4'), ('model-provider', 'up'), ('x-request-id', 'mine-1'), ('connection', 'keep-alive, x-hop'), ('x-hop', '1'), ('proxy-authorization', 'Basic eA==')])
    eq(answer.status, 200, answer.text)
    seen = up.last().headers
    for name, value in (('user-agent', 'agent/1'), ('openai-beta', 'x=1'), ('idempotency-key', 'idem'), ('traceparent', '00-1-2-01'), ('authorization', f'Bearer {UP_KEY}'), ('content-type', 'application/json')):
        eq(seen.get(name), value, name)
    for name in ('openai-organization', 'openai-project', 'cookie', 'x-stainless-lang', 'te', 'x-hop', 'proxy-authorization', 'model-provider', 'keep-alive'):
        assert name not in seen, f'{name} went upstream'
    eq(seen.get('accept-encoding', 'identity'), 'identity')
    eq(seen['host'], f'127.0.0.1:{up.port}')
    eq(answer.headers['x-request-id'], 'mine-1')


def test_provider_headers():
    """openrouter's titles, a provider's own headers."""
    up = mock()
    gateway = Gateway(providers={'router': provider(up, 'openrouter', referer='https://example.org', title='demo'), 'local': provider(up, 'openai', headers={'x-team': 'a'})}, default_provider='router')
    up.default = Reply(turn=text('Hi there.'), comments=True)
    answer = gateway.chat(model='m', messages=[{'role': 'user', 'content': 'x'}], stream=True)
    eq(chat_stream(answer.events)['text'], 'Hi there.')
    eq(up.last().headers.get('http-referer'), 'https://example.org')
    eq(up.last().headers.get('x-title'), 'demo')
    answer = gateway.chat(model='local/m', messages=[{'role': 'user', 'content': 'x'}])
    eq(up.last().headers.get('x-team'), 'a')


def test_forgotten_terminator():
    """An upstream that said why it stopped, and then ended without its terminal event: that event is made up for it."""
    for kind, check, path in (('openai', chat_stream, '/v1/chat/completions'), ('anthropic', message_stream, '/v1/messages')):
        for client, out, ask in (('openai', chat_stream, '/v1/chat/completions'), ('anthropic', message_stream, '/v1/messages')):
            for framing in ('auto', 'close', 'length'):
                with sub(f'{client} to {kind}, {framing}'):
                    up, gateway = start(kind)
                    dialect = openai_chat if kind == 'openai' else anthropic_messages
                    up.default = lambda r, dialect=dialect, framing=framing: Reply(events=dialect.stream(text('All of it.'), r)[:-1], framing=framing)
                    answer = gateway.post(ask, {'model': 'm', 'max_tokens': 5, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, [('anthropic-version', '2023-06-01')])
                    eq(out(answer.events)['text'], 'All of it.')


def test_last_event_without_its_blank_line():
    """What the gateway takes for the end of a stream its client must be able to see: readers of SSE drop an event that no blank line ends."""
    for kind, check, path, more in (('openai', chat_stream, '/v1/chat/completions', {'stream_options': {'include_usage': True}}), ('anthropic', message_stream, '/v1/messages', {})):
        up, gateway = start(kind)
        dialect = openai_chat if kind == 'openai' else anthropic_messages
        for name, end in (('nothing', b''), ('LF', b'\n'), ('CR', b'\r')):
            for framing in ('auto', 'close', 'length'):
                with sub(f'{kind}, {name}, {framing}'):
                    whole = []
                    up.default = lambda r: Reply(events=[whole.append(b''.join(dialect.stream(text('All of it.'), r)).rstrip(b'\n') + end) or whole[-1]], framing=framing)
                    answer = gateway.post(path, {'model': 'm', 'max_tokens': 5, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}], **more}, [('anthropic-version', '2023-06-01')])
                    assert answer.body.startswith(whole[-1]), 'the bytes that came'
                    eq(answer.body[len(whole[-1]):], {'nothing': b'\n\n', 'LF': b'\n', 'CR': b'\n\n'}[name])
                    eq(check(sse(answer.body.replace(b'\r', b'')))['text'], 'All of it.')


def test_much_before_any_content():
    """An upstream that talks without saying anything: what is held back of it is bounded, and so is what a slow client leaves behind."""
    up, gateway = start('openai', timeouts={'hold_ms': 60000, 'idle_ms': 60000})
    base = gateway.memory_used()
    up.default = Reply(events=[b': ' + b'x' * 5000 + b'\n\n'] * 4000, stall=4000)
    raw = gateway.connect(receive=4096)
    raw.request('POST', '/v1/chat/completions', {'model': 'm', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]})
    eq(raw.head().status, 200)
    most = 0
    for _ in range(20):
        most = max(most, gateway.memory_used() - base)
        time.sleep(0.05)
    assert most < 2 << 20, most
    raw.reset()
    gateway.idle()


def test_cut_stream_is_ended_as_an_error():
    """The upstream dies without its terminator: the protocol's error event, the message's proper end, the connection usable."""
    for kind, method, path in (('openai', chat_stream, '/v1/chat/completions'), ('anthropic', message_stream, '/v1/messages')):
        up, gateway = start(kind)
        body = {'model': 'm', 'max_tokens': 50, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}
        for name, reply in (('end', {'cut': 5}), ('reset', {'cut': 5, 'reset': True}), ('until close', {'cut': 5, 'framing': 'close'}), ('short of its length', {'cut': 5, 'framing': 'length'})):
            with sub(f'{kind}, {name}'):
                up.default = Reply(turn=text('A text that is cut off in its middle'), **reply)
                answer = gateway.post(path, body)
                eq(answer.status, 200)
                last = answer.events[-1]
                value = json.loads(last[1])
                if kind == 'openai':
                    eq(value['error']['type'], 'server_error')
                    assert '[DONE]' not in answer.text
                else:
                    eq(last[0], 'error')
                    eq(value['error']['type'], 'api_error')
                    assert 'message_stop' not in answer.text
        assert int(gateway.line()['status']) == 200
        eq(gateway.line()['end'][0], 'S', 'who ended it')


@cases(('openai to anthropic', 'anthropic', 'chat'), ('anthropic to openai', 'openai', 'messages'))
def test_arguments_keep_their_bytes(case):
    """Numbers inside tool arguments are copied as their source text across protocols, both ways."""
    _, kind, method = case
    up, gateway = start(kind)
    arguments = '{"n":12345678901234567890,"d":1.0,"e":1e400,"u":"\\u00e9<>&","z":{"b":1,"a":2}}'
    up.default = Reply(turn=calls(('c1', 'f', arguments)))
    if kind == 'anthropic':  # the mock must not respell them either
        up.default = Reply(body=b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"c1","name":"f","input":%s}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}' % arguments.encode())
    tools = [{'type': 'function', 'function': {'name': 'f', 'parameters': {'type': 'object', 'properties': {}}}}] if method == 'chat' else [{'name': 'f', 'input_schema': {'type': 'object', 'properties': {}}}]
    answer = getattr(gateway, method)(model='m', max_tokens=50, messages=[{'role': 'user', 'content': 'x'}], tools=tools)
    eq(answer.status, 200, answer.text)
    if method == 'chat':
        eq(answer.json()['choices'][0]['message']['tool_calls'][0]['function']['arguments'], arguments)
        history = [{'role': 'user', 'content': 'x'}, {'role': 'assistant', 'content': None, 'tool_calls': [{'id': 'c1', 'type': 'function', 'function': {'name': 'f', 'arguments': arguments}}]}, {'role': 'tool', 'tool_call_id': 'c1', 'content': 'ok'}]
        answer = gateway.chat(model='m', messages=history, tools=tools)
        assert arguments.encode() in up.last().body, up.last().body
    else:
        assert b'"input":' + arguments.encode() in answer.body.replace(b'"input": ', b'"input":'), answer.body
        body = '{"model":"m","max_tokens":50,"tools":%s,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":%s}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"ok"}]}]}' % (json.dumps(tools), arguments)
        answer = gateway.post('/v1/messages', body.encode(), [('anthropic-version', '2023-06-01')])
        eq(answer.status, 200, answer.text)
        eq(up.last().json['messages'][1]['tool_calls'][0]['function']['arguments'], arguments)


@cases(('openai', 'anthropic'), ('anthropic', 'openai'))
def test_translated_framings(case):
    """A translated stream is the same however its upstream's bytes were cut or framed."""
    client, kind = case
    up, gateway = start(kind)
    turn = think('Hm, 考え. ') + text('Grüße 🌍 and more. ', size=3) + calls(('c1', 'f', '{"a": "世界"}'), ('c2', 'g', ''))
    body = {'model': 'm', 'max_tokens': 50, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}
    body['tools'] = [{'type': 'function', 'function': {'name': n, 'parameters': {'type': 'object', 'properties': {}}}} for n in 'fg'] if client == 'openai' else [{'name': n, 'input_schema': {'type': 'object', 'properties': {}}} for n in 'fg']
    if client == 'openai':
        body['stream_options'] = {'include_usage': True}
    outcomes = []
    for name, reply in (('whole events', {}), ('one write', {'join': 99}), ('a byte a write', {'step': 1}), ('5 bytes a write', {'step': 5}), ('until close', {'framing': 'close'}), ('of known length', {'framing': 'length'}), ('comments', {'comments': True}), ('HTTP/1.0', {'http10': True})):
        with sub(name):
            up.default = Reply(turn=turn, **reply)
            answer = gateway.post('/v1/chat/completions' if client == 'openai' else '/v1/messages', body, [('anthropic-version', '2023-06-01')])
            eq(answer.status, 200, answer.text)
            out = (chat_stream if client == 'openai' else message_stream)(answer.events)
            eq(out['text'], 'Grüße 🌍 and more. ')
            eq(out['thinking'], 'Hm, 考え. ')
            eq([(c[1], json.loads(c[2])) for c in out['calls']], [('f', {'a': '世界'}), ('g', {})])
            eq(out['finish'], 'tool_calls' if client == 'openai' else 'tool_use')
            out.pop('ids', None)
            outcomes.append(out)
            eq(out, outcomes[0])

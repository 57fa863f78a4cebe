"""Routes without a dialect: bodies of any type pumped both ways to an OpenAI-kind provider."""
import gzip
import json
import os
import time

from harness import UP_KEY, Gateway, Reply, SLOW_BUILD, eq, limit, mock, sub, until
from mock import openai_chat

JSON_PATHS = ('/v1/embeddings', '/v1/completions', '/v1/images/generations', '/v1/moderations', '/v1/rerank')


def start(reply=None, kind='openai', **more):
    """An upstream that takes any path and body."""
    up = mock()

    async def exchange(link, reader, writer, request):
        await up._read_body(reader, request)
        up._notify()
        return await up._play(link, writer, request, up.default, openai_chat)
    up._exchange = exchange
    up.default = reply or Reply(body=b'{ "any" :1}')
    return up, Gateway(providers={'up': {'kind': kind, 'base_url': up.openai, 'keys': [UP_KEY], 'retry': {'attempts': 2, 'base_delay_ms': 1}}}, default_provider='up', **more)


def form(model=None, size=10):
    parts = [b'--XX\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n' + os.urandom(size) + b'\r\n']
    if model:
        parts.insert(0, b'--XX\r\ncontent-disposition: form-data; name="model"\r\n\r\n' + model + b'\r\n')
    return b''.join(parts) + b'--XX--\r\n'


def test_json_routes():
    """The bytes there and back, the path, the key, one request each; an alias changes the model alone."""
    up, gateway = start(routes=[{'model': 'alias', 'to': ['up/real']}])
    for path in JSON_PATHS:
        with sub(path):
            for body, sent in ((b'{"input" : [1,2], "model":"m" }', None), (b'{"x":{"model":"n"},"model":"alias","z":1.0}', b'{"x":{"model":"n"},"model":"real","z":1.0}')):
                before = up.count()
                answer = gateway.post(path + '?a=b', body)
                eq((answer.status, answer.body), (200, b'{ "any" :1}'))
                eq((up.seen[-1].path, up.seen[-1].body), (path + '?a=b', sent or body))
                eq(up.seen[-1].headers['authorization'], 'Bearer ' + UP_KEY)
                gateway.idle()
                eq(up.count(), before + 1)
    eq(gateway.post('/embeddings', b'{"model":"up/m"}').status, 200)
    eq((up.seen[-1].path, up.seen[-1].body), ('/v1/embeddings', b'{"model":"m"}'))


def test_coded_answers():
    """An upstream that codes what it was asked not to: the bytes and what they are coded in, both."""
    up, gateway = start(Reply(body=b'{"data":[]}', gzip=True))
    answer = gateway.post('/v1/embeddings', b'{"model":"m","input":"x"}')
    eq((answer.status, answer.headers.get('content-encoding'), gzip.decompress(answer.body)), (200, 'gzip', b'{"data":[]}'))
    eq(up.last().headers['accept-encoding'], 'identity')


def test_multipart():
    """The model of a form routes it; the body is not touched; a large one flows."""
    up, gateway = start(routes=[{'model': 'whisper-*', 'to': ['up']}])
    head = [('content-type', 'multipart/form-data; boundary=XX')]
    for path in ('/v1/audio/transcriptions', '/v1/images/edits'):
        for size in (10, 3000000):
            with sub(f'{path}, {size}'):
                body = form(b'whisper-1', size)
                eq(gateway.post(path, body, head).status, 200)
                eq((up.seen[-1].path, up.seen[-1].body == body, up.seen[-1].headers['content-type']), (path, True, head[0][1]))
    for gate, sent in (({'routes': [{'model': 'alias', 'to': ['up/real']}]}, b'alias'), ({}, b'up/real')):
        with sub(f'called otherwise upstream: {sent}'):  # only its value changes, not what looks like it
            other, named = start(**gate)
            rest = b'--XX\r\ncontent-disposition: form-data; name="file"; filename="model"\r\n\r\nalias\r\n'
            eq(named.post('/v1/audio/transcriptions', rest + form(sent, 30000), head).status, 200)
            body = other.seen[-1].body
            assert body.startswith(rest + form(b'real', 0)[:60]) and len(body) == len(rest + form(b'real', 30000)), body[:300]
    body = form(None, 100000)
    eq(gateway.post('/v1/audio/transcriptions?model=whisper-2', body, head).status, 200, 'named by the query')
    assert up.seen[-1].body == body


@limit(60)
def test_binary_answers_flow():
    """Audio comes as it is made, not when it is whole; 20 MB keep their bytes; a cut one is not a whole one."""
    data = os.urandom(20000)
    up, gateway = start(Reply(events=[data] * 4, pace=0.2, headers={'content-type': 'audio/mpeg'}))
    raw = gateway.connect()
    begin = time.monotonic()
    raw.request('POST', '/v1/audio/speech', {'model': 'tts', 'input': 'x', 'voice': 'v'})
    answer = raw.head()
    eq((answer.status, answer.headers['content-type']), (200, 'audio/mpeg'))
    assert time.monotonic() - begin < 0.3 * SLOW_BUILD + 0.2
    eq(raw.body(answer), data * 4)
    assert time.monotonic() - begin > 0.5
    raw.close()
    big = os.urandom(20000000)
    up.default = Reply(body=big, headers={'content-type': 'audio/mpeg'})
    assert gateway.post('/v1/audio/speech', {'model': 'tts'}).body == big
    up.default = Reply(body=big, cut=100000, framing='chunked')
    try:
        answer = gateway.post('/v1/audio/speech', {'model': 'tts'})
    except (AssertionError, OSError):
        answer = None
    assert answer is None or answer.status != 200, 'a cut answer passed for whole'
    gateway.idle()


def test_types_and_lengths():
    """What an answer says of itself goes on, a stream's type too; 204 has no length."""
    up, gateway = start()
    up.default = Reply(events=[b'data: {"text":"a"}\n\n', b'data: [DONE]\n\n'])
    answer = gateway.post('/v1/completions', b'{"model":"m","stream":true}')
    eq((answer.headers['content-type'], answer.body), ('text/event-stream; charset=utf-8', b'data: {"text":"a"}\n\ndata: [DONE]\n\n'))
    up.default = Reply(garbage=b'HTTP/1.1 204 No Content\r\n\r\n')
    raw = gateway.connect()
    for _ in range(2):
        raw.request('POST', '/v1/moderations', b'{"model":"m"}')
        answer = raw.answer()
        eq((answer.status, answer.headers.get('content-length'), answer.headers.get('transfer-encoding')), (204, None, None))


def test_uploads_that_stall():
    """Who does not send is told so, at client_header_ms; who says too much ahead is refused before anything goes upstream."""
    up, gateway = start(timeouts={'client_header_ms': 500, 'idle_ms': 20000}, limits={'body_bytes': 200000})
    head = b'POST /v1/audio/transcriptions?model=m HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n'
    for name, rest in (('length', b'content-length: 100000\r\n\r\n' + b'x' * 30000), ('chunked', b'transfer-encoding: chunked\r\n\r\n7000\r\n' + b'x' * 0x7000 + b'\r\n')):
        with sub(name):
            raw = gateway.connect()
            at = time.monotonic()
            raw.send(head + rest)
            assert up.wait(lambda m: m.count() > 0), 'it flows'
            eq(raw.answer().status, 408)
            assert 0.4 < time.monotonic() - at < 3 * SLOW_BUILD
            assert raw.ends()
            assert until(lambda: up.open == 0), 'the upstream was not told'
            up.seen.clear()
    raw = gateway.connect()
    raw.send(head + b'content-length: 200001\r\n\r\n')
    eq(raw.answer().status, 413)
    eq(up.count(), 0)
    gateway.idle()


def test_errors_and_retries():
    """Before the first byte another try; the upstream's own error otherwise; no OpenAI-kind provider: 404."""
    up, gateway = start()
    replies = [Reply(status=500), Reply(body=b'{"ok":true}')]

    def choose():
        return replies.pop(0) if replies else Reply(body=b'{"ok":true}')

    async def exchange(link, reader, writer, request):
        await up._read_body(reader, request)
        return await up._play(link, writer, request, choose(), openai_chat)
    up._exchange = exchange
    eq((gateway.post('/v1/moderations', b'{"model":"m"}').body, up.count()), (b'{"ok":true}', 2))
    replies[:] = [Reply(status=400, message='no such voice')]
    answer = gateway.post('/v1/audio/speech', b'{"model":"m"}')
    eq((answer.status, answer.error[2]), (400, 'no such voice'))
    up, gateway = start(kind='anthropic')
    eq(gateway.post('/v1/moderations', b'{"model":"m"}').status, 404)
    eq(up.count(), 0)


def test_upload_flows_and_waits():
    """A body larger than its prefix goes upstream while it comes, and the client is held back while the upstream does not read."""
    up, gateway = start()
    up.read_delay = 0
    raw = gateway.connect()
    raw.send(b'POST /v1/audio/transcriptions?model=m HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n')
    for _ in range(40):
        raw.send(b'4000\r\n' + b'x' * 16384 + b'\r\n')
    assert until(lambda: up.count() == 1), 'nothing went upstream before the end of the body'
    raw.send(b'0\r\n\r\n')
    eq(raw.answer().status, 200)
    eq(len(up.seen[-1].body), 40 * 16384)
    raw.request('POST', '/v1/moderations', json.dumps({'model': 'm'}).encode())
    eq(raw.answer().status, 200, 'the connection goes on')

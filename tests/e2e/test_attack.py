"""Hostile and clumsy clients over raw sockets: every smuggling shape, slowness, sizes, ends in every phase; and nothing stays behind."""
import json
import random
import socket
import time

from harness import Gateway, Raw, Reply, SLOW_BUILD, cases, chat_stream, eq, limit, mock, provider, short, sub, text, until

CHAT = json.dumps({'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]}).encode()
HEAD = b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'


def start(**more):
    up = mock()
    return up, Gateway(providers={'up': provider(up, retry={'attempts': 1})}, default_provider='up', **more)


def chunked(body, size=5, extension=b'', trailer=b''):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b''.join(b'%x%s\r\n%s\r\n' % (len(p), extension, p) for p in pieces) + b'0\r\n' + trailer + b'\r\n'


LENGTH = b'content-length: %d\r\n' % len(CHAT)
SMUGGLING = {  # name: bytes, statuses
    'length and chunked': (HEAD + LENGTH + b'transfer-encoding: chunked\r\n\r\n0\r\n\r\n', (400,)),
    'chunked and length': (HEAD + b'transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n', (400,)),
    'two lengths': (HEAD + b'content-length: 4\r\ncontent-length: 5\r\n\r\nabcde', (400,)),
    'a list of lengths': (HEAD + b'content-length: 5, 6\r\n\r\nabcde', (400,)),
    'signed length': (HEAD + b'content-length: +5\r\n\r\nabcde', (400,)),
    'negative length': (HEAD + b'content-length: -1\r\n\r\n', (400,)),
    'hexadecimal length': (HEAD + b'content-length: 0x5\r\n\r\nabcde', (400,)),
    'length with a space': (HEAD + b'content-length: 1 0\r\n\r\nabcdefghij', (400,)),
    'empty length': (HEAD + b'content-length:\r\n\r\n', (400,)),
    'overflowing length': (HEAD + b'content-length: 18446744073709551617\r\n\r\n', (400, 413)),
    'huge length': (HEAD + b'content-length: 9223372036854775807\r\n\r\n', (400, 413)),
    'chunked twice': (HEAD + b'transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n', (400, 501)),
    'chunked in two lines': (HEAD + b'transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', (400, 501)),
    'chunked not last': (HEAD + b'transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n', (400, 501)),
    'coding before chunked': (HEAD + b'transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n', (400, 501)),
    'identity': (HEAD + b'transfer-encoding: identity\r\n\r\n', (400, 501)),
    'xchunked': (HEAD + b'transfer-encoding: xchunked\r\n\r\n', (400, 501)),
    'chunked with a tab': (HEAD + b'transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n', (400, 501)),
    'chunked in HTTP/1.0': (HEAD.replace(b'1.1', b'1.0', 1) + b'transfer-encoding: chunked\r\n\r\n0\r\n\r\n', (400, 501)),
    'space before the colon': (HEAD + b'content-length : 5\r\n\r\nabcde', (400,)),
    'space before a name': (HEAD + b' content-length: 5\r\n\r\nabcde', (400,)),
    'folded line': (HEAD + b'x-a: 1\r\n folded\r\n\r\n', (400,)),
    'folded coding': (HEAD + b'transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n', (400,)),
    'bare CR in a value': (HEAD + b'x-a: 1\rtransfer-encoding: chunked\r\n\r\n', (400,)),
    'bare CR as line end': (b'GET /health HTTP/1.1\rhost: x\r\r', (400, None)),
    'NUL in a value': (HEAD + b'x-a: 1\x002\r\n\r\n', (400,)),
    'NUL in a name': (HEAD + b'x\x00a: 1\r\n\r\n', (400,)),
    'control in a value': (HEAD + b'x-a: \x07\r\n\r\n', (400,)),
    'no colon': (HEAD + b'x-a\r\n\r\n', (400,)),
    'empty name': (HEAD + b': 5\r\n\r\n', (400,)),
    'name with a space': (HEAD + b'content length: 5\r\n\r\n', (400,)),
    'name beyond ASCII': (HEAD + b'x\xc3\xa9: 5\r\n\r\n', (400,)),
    'no host': (b'GET /health HTTP/1.1\r\n\r\n', (400,)),
    'two hosts': (b'GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', (400,)),
    'bad host': (b'GET /health HTTP/1.1\r\nhost: a b\r\n\r\n', (400,)),
    'HTTP/2.0': (b'GET /health HTTP/2.0\r\nhost: x\r\n\r\n', (505, 400)),
    'HTTP/1.2': (b'GET /health HTTP/1.2\r\nhost: x\r\n\r\n', (505, 200)),
    'HTTP/0.9': (b'GET /health\r\n\r\n', (400, 505)),
    'HTTP/9.9': (b'GET /health HTTP/9.9\r\nhost: x\r\n\r\n', (505,)),
    'http/1.1': (b'GET /health http/1.1\r\nhost: x\r\n\r\n', (400, 505)),
    'HTTP/1.10': (b'GET /health HTTP/1.10\r\nhost: x\r\n\r\n', (400, 505)),
    'HTTP/2 preface': (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (400, 505)),
    'TLS hello': (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(50) + b'\r\n\r\n', (400,)),
    'two spaces': (b'GET  /health HTTP/1.1\r\nhost: x\r\n\r\n', (400,)),
    'tab in the request line': (b'GET\t/health HTTP/1.1\r\nhost: x\r\n\r\n', (400,)),
    'space at the end': (b'GET /health HTTP/1.1 \r\nhost: x\r\n\r\n', (400, 505)),
    'bad method': (b'G(T /health HTTP/1.1\r\nhost: x\r\n\r\n', (400,)),
    'control in the path': (b'GET /he\x01alth HTTP/1.1\r\nhost: x\r\n\r\n', (400,)),
    'authority form': (b'CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n', (400, 404, 405, 501)),
    'chunk size with 0x': (HEAD + b'transfer-encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n', (400,)),
    'negative chunk': (HEAD + b'transfer-encoding: chunked\r\n\r\n-1\r\nabcde\r\n0\r\n\r\n', (400,)),
    'overflowing chunk': (HEAD + b'transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\nabcde\r\n0\r\n\r\n', (400, 413)),
    'chunk size with a space': (HEAD + b'transfer-encoding: chunked\r\n\r\n5 \r\nabcde\r\n0\r\n\r\n', (400,)),
    'space before a chunk size': (HEAD + b'transfer-encoding: chunked\r\n\r\n 5\r\nabcde\r\n0\r\n\r\n', (400,)),
    'chunk longer than said': (HEAD + b'transfer-encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n', (400,)),
    'chunk line by LF': (HEAD + b'transfer-encoding: chunked\r\n\r\n5\nabcde\n0\n\n', (400,)),
    'chunk without a size': (HEAD + b'transfer-encoding: chunked\r\n\r\n\r\nabcde\r\n0\r\n\r\n', (400,)),
    'endless chunk extension': (HEAD + b'transfer-encoding: chunked\r\n\r\n5;' + b'a' * 100000 + b'\r\nabcde\r\n0\r\n\r\n', (400, 413, 431)),
    'bare CR in a chunk extension': (HEAD + b'transfer-encoding: chunked\r\n\r\n5;a\rb\r\nabcde\r\n0\r\n\r\n', (400,)),
    'a length in a trailer': (HEAD + b'transfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n', (400,)),
    'endless trailers': (HEAD + b'transfer-encoding: chunked\r\n\r\n0\r\n' + b'x-a: b\r\n' * 20000 + b'\r\n', (400, 413, 431)),
}


@cases(*SMUGGLING)
def test_smuggling(name):
    """Refused with 400, 501 or 505, the connection closed, and what follows it never read as a request."""
    data, statuses = SMUGGLING[name]
    up, gateway = start()
    raw = gateway.connect()
    try:
        raw.send(data + b'GET /v1/models/smuggled HTTP/1.1\r\nhost: evil\r\n\r\n')
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all was sent
    if statuses == (400, None):
        raw.half_close()
        try:
            rest = raw.rest()
        except ConnectionResetError:
            rest = b''
        assert rest == b'' or rest.startswith(b'HTTP/1.1 400'), rest
    else:
        answer = raw.answer('HEAD' if data.startswith(b'HEAD') else 'GET')
        assert answer.status in statuses, answer
        if answer.status != 200 and answer.status not in (404, 405):
            eq(answer.headers.get('connection'), 'close')
            assert 'error' in answer.json()
            try:
                eq(raw.rest(), b'', 'something after the refusal')
            except ConnectionResetError:
                pass
        if answer.status == 200:  # an HTTP/1.2 that is served as 1.1 is followed by a request
            return
    raw.close()
    eq(up.count(), 0)
    assert not any('smuggled' in line.get('path', '') for line in gateway.lines()), 'the rest was taken for a request'
    gateway.idle()


def test_lenient_shapes():
    """What the standard allows or asks to tolerate is served."""
    up, gateway = start()
    for name, data in (('an empty line before', b'\r\n' + HEAD + LENGTH + b'\r\n' + CHAT), ('no space after colons', HEAD.replace(b': ', b':') + LENGTH.replace(b': ', b':') + b'\r\n' + CHAT),
                       ('upper case', HEAD.replace(b'content-type', b'CONTENT-TYPE') + LENGTH.upper() + b'\r\n' + CHAT), ('chunked', HEAD + b'transfer-encoding: chunked\r\n\r\n' + chunked(CHAT)),
                       ('Chunked', HEAD + b'Transfer-Encoding: Chunked\r\n\r\n' + chunked(CHAT, 1)), ('extensions', HEAD + b'transfer-encoding: chunked\r\n\r\n' + chunked(CHAT, 7, b';name=value;q="a;\\"b"')),
                       ('trailers', HEAD + b'transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n' + chunked(CHAT, 9, trailer=b'x-sum: 1\r\ncontent-length: 7\r\n')), ('leading zeros', HEAD + b'transfer-encoding: chunked\r\n\r\n000000%x\r\n' % len(CHAT) + CHAT + b'\r\n000\r\n\r\n'),
                       ('same length twice', HEAD + LENGTH + LENGTH + b'\r\n' + CHAT), ('value with high bytes', HEAD + LENGTH + b'x-a: \xc3\xa9\xff\r\n\r\n' + CHAT), ('empty value', HEAD + LENGTH + b'x-a:\r\n\r\n' + CHAT)):
        with sub(name):
            raw = gateway.connect()
            raw.send(data)
            answer = raw.answer()
            if name == 'same length twice' and answer.status == 400:
                continue  # either is right by RFC 9112 6.3
            eq(answer.status, 200, answer.text)
            raw.request('GET', '/health')
            eq(raw.answer('GET').status, 200, 'the connection goes on')
            raw.close()


@cases('/v1/models/%00', '/%zz', '/v1/models/%c3%28', '/%', '/../../etc/passwd', '/v1/../../x', '//', '/v1/models/' + 'a' * 4000, '/%2e%2e/health')
def test_strange_paths(path):
    """An answer in the 400s and a connection that goes on, or its end."""
    up, gateway = start()
    raw = gateway.connect()
    raw.request('GET', path)
    answer = raw.answer('GET')
    assert answer.status in (400, 404) or path == '//', answer
    if answer.headers.get('connection') != 'close':
        raw.request('GET', '/health')
        eq(raw.answer('GET').status, 200)


def test_pipelining():
    """Requests sent at once are answered in order, also behind a stream, however they were cut."""
    up, gateway = start()
    stream = json.dumps({'model': 'm', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}).encode()
    up.on('m', Reply(turn=text('Hello from the mock.'), pace=0.01))
    data = b''
    for i in range(5):
        data += HEAD + b'x-request-id: a%d\r\ncontent-length: %d\r\n\r\n' % (i, len(stream)) + stream
        data += b'GET /health HTTP/1.1\r\nhost: x\r\nx-request-id: b%d\r\n\r\n' % i
        data += HEAD + b'x-request-id: c%d\r\ntransfer-encoding: chunked\r\n\r\n' % i + chunked(CHAT)
    for size in (len(data), 100, 7):
        with sub(f'{size} bytes a write'):
            raw = gateway.connect()
            for i in range(0, len(data), size):
                raw.send(data[i:i + size])
            for i in range(5):
                answer = raw.answer()
                eq(answer.headers['x-request-id'], f'a{i}')
                eq(chat_stream(answer.events)['text'], 'Hello from the mock.')
                eq(raw.answer('GET').headers['x-request-id'], f'b{i}')
                answer = raw.answer()
                eq((answer.status, answer.headers['x-request-id']), (200, f'c{i}'))
            assert raw.stays(0.1)
            raw.close()


def test_pipelined_close():
    """Connection: close is obeyed: nothing behind it is served."""
    up, gateway = start()
    raw = gateway.connect()
    raw.send(b'GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\nGET /ready HTTP/1.1\r\nhost: x\r\n\r\n')
    answer = raw.answer('GET')
    eq((answer.status, answer.headers['connection']), (200, 'close'))
    eq(raw.rest(), b'')
    gateway.line()
    eq(len(gateway.lines()), 1)


def test_pipelining_then_the_end():
    """Requests that came whole before the client's end of input are answered, the unfinished one behind them is not."""
    up, gateway = start()
    for tail in (b'', b'GET /hea'):
        for ask, count in ((b'GET /health HTTP/1.1\r\nhost: x\r\n\r\n', 20), (b'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n', 100)):
            with sub(f'{ask[:12]} {tail}'):
                raw = gateway.connect()
                raw.send(ask * count + tail)
                raw.half_close()
                for _ in range(count):
                    eq(raw.answer('GET').status, 200)
                eq(raw.rest(), b'')
    gateway.idle()


def test_pipelining_without_reading():
    """Who asks on and on and reads nothing costs a bounded amount; what was asked is answered, in order, once it reads."""
    up, gateway = start()
    up.on('m', Reply(turn=text('word ' * 4000)))
    base = gateway.memory_used()
    for name, ask, limit_bytes in (('own answers', b'GET / HTTP/1.1\r\nhost: x\r\nx-request-id: %d\r\n\r\n', 4 << 20),
                                   ('long own answers', b'GET /metrics HTTP/1.1\r\nhost: x\r\nx-request-id: %d\r\n\r\n', 4 << 20),
                                   ('exchanges', HEAD + b'x-request-id: %d\r\ncontent-length: ' + b'%d\r\n\r\n' % len(CHAT) + CHAT, 8 << 20)):
        with sub(name):
            raw = gateway.connect(receive=4096)
            sent, left = 0, b''
            raw.sock.settimeout(0.5)
            end = time.monotonic() + 20
            try:
                while time.monotonic() < end:
                    if not left:
                        left = ask % sent
                        sent += 1
                    left = left[raw.sock.send(left):]
            except socket.timeout:
                pass
            assert time.monotonic() < end, f'{sent} requests were taken from a client that reads nothing'
            assert gateway.memory_used() < base + limit_bytes, (base, gateway.memory_used(), sent)
            raw.sock.settimeout(10 * SLOW_BUILD)
            for i in range(min(sent - 1, 300)):
                answer = raw.answer('GET')
                eq((answer.status, answer.headers['x-request-id']), (200, str(i)))
            raw.reset()
            gateway.idle()


def test_one_byte_writes():
    up, gateway = start()
    for name, data in (('length', HEAD + LENGTH + b'\r\n' + CHAT), ('chunked', HEAD + b'transfer-encoding: chunked\r\n\r\n' + chunked(CHAT, 3, b';x=1', b't: 1\r\n'))):
        with sub(name):
            raw = gateway.connect()
            for i in range(len(data)):
                raw.send(data[i:i + 1])
            eq(raw.answer().status, 200)
            raw.close()


def test_http10():
    up, gateway = start()
    body = json.dumps({'model': 'm', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}).encode()
    raw = gateway.connect()
    raw.send(b'POST /v1/chat/completions HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n' % len(body) + body)
    answer = raw.answer()
    eq((answer.status, answer.headers.get('transfer-encoding'), answer.headers['connection']), (200, None, 'close'))
    eq(chat_stream(answer.events)['text'], 'Hello from the mock.')
    raw = gateway.connect()
    raw.send(b'GET /health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n')
    eq(raw.answer('GET').headers['connection'], 'keep-alive')
    raw.send(b'GET /health HTTP/1.0\r\n\r\n')
    eq(raw.answer('GET').headers['connection'], 'close')
    assert raw.ends()


def test_expect():
    """100 Continue before the body, no 100 when refused anyway."""
    up, gateway = start(api_keys=['sk-SECRET'])
    raw = gateway.connect()
    raw.send(HEAD + LENGTH + b'authorization: Bearer sk-SECRET\r\nexpect: 100-continue\r\n\r\n')
    eq(raw.head().status, 100)
    raw.send(CHAT)
    eq(raw.answer().status, 200)
    raw.send(HEAD + LENGTH + b'authorization: Bearer wrong\r\nexpect: 100-continue\r\n\r\n')
    answer = raw.answer()
    eq((answer.interim, answer.status), ([], 401))
    if answer.headers.get('connection') != 'close':
        raw.request('GET', '/health')
        eq(raw.answer('GET').status, 200)
    else:
        assert raw.ends()
    raw = gateway.connect()
    raw.send(HEAD + LENGTH + b'authorization: Bearer sk-SECRET\r\nExpect: 100-Continue\r\n\r\n' + CHAT)
    eq(raw.answer().status, 200, 'body with the head')


def test_slow_head():
    """A dribbled head gets 408 at client_header_ms, however many bytes it dribbles; an idle connection is no error."""
    up, gateway = start(timeouts={'client_header_ms': 700})
    raw = gateway.connect()
    start_at = time.monotonic()
    raw.send(b'GET /health HTTP/1.1\r\n')
    status = None
    for i in range(40):
        try:
            raw.send(b'x-%d: 1\r\n' % i)
        except (BrokenPipeError, ConnectionResetError):
            break
        time.sleep(0.05)
        raw.sock.setblocking(False)
        try:
            if raw.fill():
                break
        except BlockingIOError:
            pass
        finally:
            raw.sock.setblocking(True)
    raw.sock.settimeout(5)
    answer = raw.answer('GET')
    took = time.monotonic() - start_at
    eq(answer.status, 408)
    eq(answer.headers['connection'], 'close')
    assert 0.6 < took < 2.5 * SLOW_BUILD, took
    idle = gateway.connect()
    assert idle.stays(1.2) or idle.ends(), 'an idle connection got bytes'
    gateway.idle()


def test_heads_are_refused_in_the_clients_protocol():
    """A head that is too large, late or malformed still tells its route: the error is worded for it, has an id, and is logged with it."""
    up, gateway = start(timeouts={'client_header_ms': 400}, limits={'header_bytes': 4096})
    late = b'host: x\r\nx-slow'
    for path, head, shape in ((b'/v1/chat/completions', b'', 'openai'), (b'/v1/messages?beta=true', b'', 'anthropic'), (b'/v1/responses', b'', 'openai'), (b'/v1beta/models/m:generateContent?key=SECRET', b'', 'gemini'),
                              (b'/v1/models', b'anthropic-version: 2023-06-01\r\n', 'anthropic'), (b'/v1/models', b'X-Goog-Api-Key: SECRET\r\n', 'gemini'), (b'/v1beta/nothing', b'', 'gemini'), (b'/' + b'x' * 3000, b'', 'openai')):
        for name, rest, status in (('large', b'host: x\r\nx-a: ' + b'a' * 5000, 431), ('late', late, 408), ('malformed', b'host : x\r\n\r\n', 400), ('coded', b'host: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n', 501)):
            with sub(f'{name} {path[:30].decode()} {shape}'):
                raw = gateway.connect()
                raw.send(b'POST ' + path + b' HTTP/1.1\r\n' + head + rest)
                answer = raw.answer()
                assert answer.status == status or (name == 'coded' and answer.status == 400), answer
                assert len(answer.headers['x-request-id']) == 28
                value = answer.json()
                if shape == 'anthropic':
                    eq((value['type'], value['request_id'], answer.headers['request-id']), ('error', answer.headers['x-request-id'], answer.headers['x-request-id']))
                elif shape == 'gemini':
                    eq((value['error']['code'], type(value['error']['status'])), (answer.status, str))
                else:
                    eq(value['error']['type'], 'invalid_request_error')
                assert until(lambda: any(line.get('id') == answer.headers['x-request-id'] and line['status'] == str(answer.status) and line['method'] == 'POST' for line in gateway.lines()))
                raw.close()


def test_slow_body():
    up, gateway = start(timeouts={'client_header_ms': 600})
    for client, path in (('chat', b'/v1/chat/completions'), ('messages', b'/v1/messages')):
        for framing in (b'content-length: 100\r\n\r\n{"mo', b'transfer-encoding: chunked\r\n\r\n5\r\n{"mo', b'content-length: 4000000\r\n\r\n{"mo'):
            with sub(f'{client}, {framing[:20]}'):
                raw = gateway.connect()
                at = time.monotonic()
                raw.send(b'POST %s HTTP/1.1\r\nhost: x\r\n%s' % (path, framing))
                answer = raw.answer()
                eq(answer.status, 408)
                assert 0.5 < time.monotonic() - at < 2.5 * SLOW_BUILD
                eq(answer.json().get('type'), 'error' if client == 'messages' else None)
                assert raw.ends()
                raw.close()
    with sub('a body that moves on is no stall'):
        raw = gateway.connect()
        raw.send(HEAD + LENGTH + b'\r\n')
        for i in range(0, len(CHAT), 10):
            raw.send(CHAT[i:i + 10])
            time.sleep(0.25)
        eq(raw.answer().status, 200)
        raw.close()
    gateway.idle()


def test_half_close():
    """The end of a client's input while an exchange runs is its leaving, unless it said close together with the end (conversion.md 3.9)."""
    up, gateway = start()
    up.on('slow', Reply(turn=text('late'), wait=0.6))
    body = CHAT.replace(b'"m"', b'"slow"')
    for tries in range(8):  # the end may come a moment after the bytes: then it is a leaving
        raw = gateway.connect()
        raw.send(HEAD + b'connection: close\r\ncontent-length: %d\r\n\r\n' % len(body) + body)
        raw.half_close()
        try:
            eq(raw.answer().status, 200, 'close and end of input together')
            break
        except AssertionError:
            assert tries < 7
    up.seen.clear()
    raw = gateway.connect()
    raw.send(HEAD + b'content-length: %d\r\n\r\n' % len(body) + body)
    assert up.wait(lambda m: m.count('slow') == 1)
    raw.half_close()
    assert until(lambda: up.last().gone_at), 'the upstream was not told'
    gateway.idle()


def test_resets_in_all_phases():
    """A client that resets in its head, body, while waiting, in the stream, after it: slots and memory return to zero."""
    up, gateway = start(timeouts={'first_byte_ms': 60000})
    up.on('quiet', Reply(wait=20))
    up.on('talks', Reply(turn=text('word ' * 5000, size=5), pace=0.002))
    up.on('flood', Reply(turn=text('word ' * 500000, size=1000)))
    base = gateway.memory_used()

    def body(model, stream=True, size=1):
        return json.dumps({'model': model, 'stream': stream, 'messages': [{'role': 'user', 'content': 'x' * size}]}).encode()

    for _ in range(6):
        for how in ('reset', 'close'):
            for name, data, wait in (('head', HEAD[:50], 0), ('body', HEAD + b'content-length: 1000\r\n\r\n{"mod', 0), ('large body', HEAD + b'content-length: 5000000\r\n\r\n' + b'x' * 300000, 0), ('chunked body', HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n{"m', 0),
                                     ('at once', HEAD + LENGTH + b'\r\n' + CHAT, 0), ('waiting', None, ('quiet', 0.02)), ('plain', None, ('m', 0.001)), ('streaming', None, ('talks', 0.05)), ('not reading', None, ('flood', 0.1)), ('large request', None, ('quiet', 0.01))):
                raw = gateway.connect(receive=4096 if name == 'not reading' else None)
                if data is None:
                    model, wait = wait
                    data = body(model, name != 'plain', 2000000 if name == 'large request' else 1)
                    data = HEAD + b'content-length: %d\r\n\r\n' % len(data) + data
                raw.send(data)
                time.sleep(wait)
                getattr(raw, how)()
    gateway.idle(8)
    assert until(lambda: gateway.memory_used() <= base + 524288, 5), (base, gateway.memory_used())
    assert until(lambda: up.open <= 8), f'{up.open} upstream connections stay'
    eq(gateway.post('/v1/chat/completions', CHAT).status, 200)


@limit(60)
def test_upstream_ends_in_all_phases():
    """The same from the other side: an upstream that resets or ends at every point of its answer."""
    up, gateway = start()
    base = gateway.memory_used()
    for stream in (False, True):
        request = json.dumps({'model': 'm', 'stream': stream, 'messages': [{'role': 'user', 'content': 'x'}]})
        for reset in (False, True):
            for cut in (0, 1, 2, 3, 4, 5, 6):
                for framing in ('auto', 'close'):
                    up.default = Reply(turn=text('Some words here.'), cut=cut if stream else cut * 40, reset=reset, framing=framing)
                    answer = gateway.post('/v1/chat/completions', request.encode())
                    if answer.status == 200:
                        assert stream, f'a truncated answer passed for whole: {cut}, {reset}, {framing}: {answer}'
                        assert '"error"' in answer.events[-1][1] or answer.events[-1][1] == '[DONE]', (cut, reset, framing, answer.events[-3:])
                        if answer.events[-1][1] == '[DONE]':
                            chat_stream(answer.events)  # it had finished before it was cut
                    else:
                        eq(answer.status, 502)
            up.default = Reply(abrupt=True, reset=reset)
            eq(gateway.post('/v1/chat/completions', request.encode()).status, 502)
    gateway.idle()
    assert until(lambda: gateway.memory_used() <= base + 262144), gateway.memory_used()


def test_random_bytes():
    """Noise, and real requests with a byte turned: an answer or an end, never a crash or a hang."""
    up, gateway = start(timeouts={'client_header_ms': 1500})
    noise = random.Random(7)
    sample = HEAD + b'transfer-encoding: chunked\r\nx-a: b\r\n\r\n' + chunked(CHAT)
    up.expect_problems = True
    up.lenient = True
    for i in range(250):
        if i % 5 == 0:
            data = noise.randbytes(noise.randrange(1, 400)) + b'\r\n\r\n'
        else:
            data = bytearray(sample)
            for _ in range(noise.randrange(1, 4)):
                data[noise.randrange(len(data))] = noise.randrange(256)
        raw = gateway.connect(timeout=6)
        try:
            raw.send(bytes(data))
            raw.half_close()
            raw.rest()
        except (ConnectionResetError, BrokenPipeError):
            pass
        except socket.timeout:
            raise AssertionError(f'no end after {bytes(data)!r}') from None
        raw.close()
    eq(gateway.get('/health').status, 200)
    gateway.idle()


def test_many_idle_connections():
    """500 connections that say nothing own no buffers, and others are served."""
    up, gateway = start()
    base = gateway.rss()
    raws = [gateway.connect() for _ in range(500)]
    eq(gateway.post('/v1/chat/completions', CHAT).status, 200)
    assert gateway.metrics()['ring2api_slots_used{kind="client"}'] >= 500
    grown = gateway.rss() - base
    assert SLOW_BUILD > 1 or grown < 4 * 1048576, f'{grown} bytes'
    for raw in raws:
        raw.close()
    gateway.idle()


def test_connection_limit():
    """limits.connections holds for the process; beyond it connections are refused or wait, and those within go on."""
    up, gateway = start(limits={'connections': 8}, workers=2)
    raws = []
    for _ in range(30):
        try:
            raws.append(gateway.connect(timeout=3))
        except OSError:
            pass
    served = 0
    for raw in raws:
        try:
            raw.request('GET', '/health')
            raw.sock.settimeout(0.4)
            served += raw.answer('GET').status == 200
        except (OSError, AssertionError):
            pass
    assert 1 <= served <= 8, served
    for raw in raws:
        raw.close()

    def is_served():
        try:
            return gateway.get('/health').status == 200
        except (OSError, AssertionError):
            return False
    assert until(is_served), 'no connection is served after the others ended'


def test_memory_limit():
    """limits.memory_bytes: beyond it 503 with retry-after, and all is given back."""
    up, gateway = start(limits={'memory_bytes': 33554432})
    up.on('quiet', Reply(wait=2))
    body = json.dumps({'model': 'quiet', 'messages': [{'role': 'user', 'content': 'x' * 6000000}]}).encode()
    raws = []
    for _ in range(10):
        raw = gateway.connect(timeout=15)
        raw.sock.setblocking(True)
        raw.sock.settimeout(15)
        try:
            raw.request('POST', '/v1/chat/completions', body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        raws.append(raw)
    statuses = []
    for raw in raws:
        try:
            answer = raw.answer()
            statuses.append(answer.status)
            if answer.status == 503:
                eq(answer.error[:2], ('server_error', 'overloaded'))
        except (ConnectionResetError, AssertionError):
            statuses.append(503)
    assert 200 in statuses and 503 in statuses and set(statuses) <= {200, 503}, statuses
    for raw in raws:
        raw.close()
    gateway.idle()
    values = gateway.metrics()
    assert values['ring2api_memory_used_bytes'] < 1048576 and values['ring2api_memory_peak_bytes'] <= 33554432, values
    assert values['ring2api_memory_refused_total'] >= 1
    eq(gateway.post('/v1/chat/completions', CHAT).status, 200)


def test_memory_refusals_are_answers():
    """At the memory limit everybody hears so in the own protocol, 503 (Anthropic: 529): no bare end of a connection, no empty body, no 502 that blames the upstream."""
    up, gateway = start(limits={'memory_bytes': 8388608}, timeouts={'client_header_ms': 20000, 'first_byte_ms': 60000})
    up.on('quiet', Reply(wait=30))

    def body(model, size):
        return {'model': model, 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'x' * size}]}
    holders = []
    for size in (3000000, 2000000, 800000, 400000, 200000, 100000, 50000, 30000, 30000, 30000):  # what is left would take no further body
        raw = gateway.connect(timeout=15)
        raw.request('POST', '/v1/chat/completions', body('quiet', size))
        holders.append(raw)
    time.sleep(0.5)
    refused = 0
    for _ in range(8):
        for path, status in (('/v1/chat/completions', 503), ('/v1/messages', 529)):
            for size in (2500000, 700000):
                raw = gateway.connect(timeout=15)
                try:
                    raw.request('POST', path, body('m', size))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                answer = raw.answer()
                if answer.status != 200:
                    eq(answer.status, status)
                    error = answer.json()['error']
                    assert 'memory' in error['message'], answer
                    refused += 1
                raw.close()
    assert refused >= 16, refused
    for raw in holders:
        raw.reset()
    gateway.idle()
    eq(gateway.post('/v1/chat/completions', CHAT).status, 200)


def test_memory_lacking_for_an_answer():
    """An answer that finds no memory is 503, not the upstream's fault."""
    up, gateway = start(limits={'memory_bytes': 8388608, 'output_bytes': 33554432})
    up.on('m', Reply(turn=text('word ' * 2000000)))
    for path, status in (('/v1/chat/completions', 503), ('/v1/messages', 529), ('/v1/responses', 503)):
        with sub(path):
            answer = gateway.post(path, {'model': 'm', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'x'}]} if 'responses' not in path else {'model': 'm', 'input': 'x'})
            eq((answer.status, 'memory' in answer.json()['error']['message']), (status, True), answer.text[:300])
    gateway.idle()

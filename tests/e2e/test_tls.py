"""TLS to upstreams: a test authority's certificates, good and bad, real sockets, the whole gateway."""
import os
import re
import socket
import ssl
import threading
import time

from harness import TMP, UP_KEY, Gateway, Reply, Skip, chat_stream, cleanup, eq, mock, sub, text, until


def certs():
    """The folder of certificates, which run.sh made."""
    folder = os.environ.get('E2E_CERTS', '')
    if not os.path.exists(os.path.join(folder, 'trust.pem')):
        raise Skip('no test certificates')
    return folder


def server_context(name, **settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{certs()}/{name}.pem', f'{certs()}/{name}.key')
    for member, value in settings.items():
        setattr(context, member, value)
    return context


def server(name, alpn=None, **settings):
    context = server_context(name, **settings)
    if alpn:
        context.set_alpn_protocols(alpn)
    return mock(ssl=context)


def gateway(upstreams, host='localhost', **more):
    """upstreams: name -> mock, or (mock, host)."""
    providers = {}
    for name, up in upstreams.items():
        up, at = up if isinstance(up, tuple) else (up, host)
        providers[name] = {'kind': 'openai', 'base_url': f'https://{at}:{up.port}/v1', 'keys': [UP_KEY]}
    more.setdefault('retry', {'attempts': 1})
    return Gateway(providers=providers, tls={'ca_file': f'{certs()}/trust.pem'}, **more)


def test_good_certificates():
    """Every kind of key, names and addresses; plain and streamed; connections are reused."""
    names = ('good', 'good-rsa', 'good-p384', 'good-p384-leaf', 'good-with-root')
    ups = {name: server(name) for name in names}
    ups['by-address'] = (server('good-ip'), '127.0.0.1')
    gate = gateway(ups)
    for name in ups:
        with sub(name):
            for _ in range(2):
                answer = gate.chat(model=f'{name}/m')
                eq(answer.status, 200, answer.text)
            answer = gate.chat(model=f'{name}/m', stream=True)
            eq(chat_stream(answer.events)['text'], 'Hello from the mock.')
            up = ups[name][0] if isinstance(ups[name], tuple) else ups[name]
            eq(up.connections, 1, 'connections for three requests')
    eq(gate.metric('ring2api_tls_full_handshakes_total'), len(ups))
    gate.idle()


def test_large_bodies():
    """Both ways through records of the largest size."""
    up = server('good')
    up.default = Reply(turn=text('x' * 300000))
    gate = gateway({'up': up})
    body = {'model': 'up/m', 'messages': [{'role': 'user', 'content': 'y' * 700000}]}
    for stream in (False, True):
        answer = gate.chat(dict(body, stream=stream))
        eq(answer.status, 200)
        got = chat_stream(answer.events)['text'] if stream else answer.json()['choices'][0]['message']['content']
        eq(len(got), 300000)
        eq(len(up.last().json['messages'][0]['content']), 700000)
    gate.idle()


BAD = {
    'expired': 'certificate expired or not yet valid',
    'future': 'certificate expired or not yet valid',
    'wrong-host': 'certificate is for another host',
    'unknown-issuer': 'certificate issuer is not trusted',
    'self-signed': 'certificate is self-signed',
    'gap': 'incomplete or disordered',
    'constraints': 'constraints',
    'big-key': '4096 bits',
    'sha1-signature': 'signature algorithm',
    'too-long': 'larger than 16 KiB',
}


def test_bad_certificates():
    """Each is a 502 that names the phase and the matter; nothing is sent to such a server."""
    ups = {}
    for name in BAD:
        try:
            ups[name] = server(name)
        except ssl.SSLError:
            continue  # this OpenSSL does not even serve it
    ups['address'] = (server('good'), '127.0.0.1')
    gate = gateway(ups)
    for name, up in ups.items():
        with sub(name):
            answer = gate.chat(model=f'{name}/m')
            eq(answer.status, 502, answer.text)
            message = answer.error[2]
            assert 'tls' in message.lower(), message
            assert BAD.get(name, BAD['wrong-host']) in message, message
            eq((up[0] if isinstance(up, tuple) else up).count(), 0, 'requests seen')
    eq(gate.metric('ring2api_upstream_errors_total{phase="tls"}'), len(ups))
    gate.idle()


def blocking_server(context):
    """A server that shakes hands and no more; unlike asyncio's it lets its alerts out before it closes."""
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(peer, server_side=True).recv(1)
            except OSError:
                time.sleep(0.1)
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    cleanup(listener.close)
    return listener.getsockname()[1]


def test_servers_that_ask_for_more():
    newest = server_context('good', minimum_version=ssl.TLSVersion.TLSv1_3)
    demanding = server_context('good', verify_mode=ssl.CERT_REQUIRED, maximum_version=ssl.TLSVersion.TLSv1_2)
    demanding.load_verify_locations(f'{certs()}/trust.pem')
    foreign = server_context('good', maximum_version=ssl.TLSVersion.TLSv1_2)
    foreign.set_ciphers('ECDHE-ECDSA-AES128-SHA256')
    for name, context, words in (('tls13', newest, 'TLS 1.2'), ('client certificate', demanding, 'client certificate'), ('suites', foreign, 'no common TLS algorithm')):
        with sub(name):
            gate = Gateway(providers={'up': {'kind': 'openai', 'base_url': f'https://localhost:{blocking_server(context)}/v1', 'keys': [UP_KEY]}},
                           tls={'ca_file': f'{certs()}/trust.pem'}, retry={'attempts': 1})
            answer = gate.chat(model='up/m')
            eq(answer.status, 502, answer.text)
            assert words in answer.error[2], answer.text
            gate.idle()


def test_sessions_are_resumed():
    """A server that keeps sessions by id and closes after each answer."""
    up = server('good', maximum_version=ssl.TLSVersion.TLSv1_2, options=ssl.OP_NO_TICKET | ssl.OP_ALL)
    up.default = Reply(turn=text('once'), close=True)
    gate = gateway({'up': up})
    for _ in range(4):
        eq(gate.chat(model='up/m').status, 200)
    eq(up.connections, 4)
    eq(gate.metric('ring2api_tls_full_handshakes_total'), 1)
    eq(gate.metric('ring2api_tls_resumed_handshakes_total'), 3)


def test_truncation():
    """An end without close_notify is an error unless the HTTP framing was complete."""
    up = server('good')
    gate = gateway({'up': up})
    body = {'model': 'up/m', 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}
    for name, reply in (('until close', {'framing': 'close', 'cut': 4}), ('chunked', {'cut': 4}), ('reset', {'cut': 4, 'reset': True})):
        with sub(name):
            up.default = Reply(turn=text('cut off in its middle'), **reply)
            answer = gate.chat(body)
            eq(answer.status, 200)
            assert 'error' in answer.events[-1][1], answer.events[-1]
            assert '[DONE]' not in answer.text
    with sub('a plain answer, cut'):
        up.default = Reply(turn=text('cut off in its middle'), cut=20)
        answer = gate.chat(dict(body, stream=False))
        eq(answer.status, 502, answer.text)
    with sub('complete'):
        up.default = Reply(turn=text('whole'))
        answer = gate.chat(body)
        eq(chat_stream(answer.events)['text'], 'whole')
    gate.idle()


def test_a_server_that_does_not_speak_tls():
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peer.recv(4096)
            peer.sendall(b'HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n')
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    gate = Gateway(providers={'up': {'kind': 'openai', 'base_url': f'https://localhost:{listener.getsockname()[1]}/v1', 'keys': [UP_KEY]}},
                   tls={'ca_file': f'{certs()}/trust.pem'}, retry={'attempts': 1})
    answer = gate.chat(model='up/m')
    eq(answer.status, 502, answer.text)
    assert 'tls' in answer.error[2].lower(), answer.text
    listener.close()
    gate.idle()


def test_a_silent_server_is_bound_by_the_connect_timeout():
    listener = socket.create_server(('127.0.0.1', 0))  # accepts, says nothing
    gate = Gateway(providers={'up': {'kind': 'openai', 'base_url': f'https://localhost:{listener.getsockname()[1]}/v1', 'keys': [UP_KEY]}},
                   tls={'ca_file': f'{certs()}/trust.pem'}, retry={'attempts': 1}, timeouts={'connect_ms': 600})
    start = time.monotonic()
    answer = gate.chat(model='up/m')
    assert answer.status in (502, 504), answer.text
    assert time.monotonic() - start < 6, 'it took its time'
    listener.close()
    gate.idle()


def test_a_client_that_leaves_ends_handshakes_too():
    """Slots, buffers and descriptors come back when clients leave while handshakes are under way."""
    listener = socket.create_server(('127.0.0.1', 0), backlog=200)
    gate = Gateway(providers={'up': {'kind': 'openai', 'base_url': f'https://localhost:{listener.getsockname()[1]}/v1', 'keys': [UP_KEY]}},
                   tls={'ca_file': f'{certs()}/trust.pem'})
    raws = [gate.stream('/v1/chat/completions', {'model': 'up/m', 'messages': [{'role': 'user', 'content': 'x'}]}) for _ in range(90)]
    time.sleep(0.3)
    for raw in raws:
        raw.close()
    gate.idle(10)
    listener.close()


def test_the_bundle_is_named_when_it_is_bad():
    path = os.path.join(TMP, f'not-a-bundle-{os.getpid()}')
    with open(path, 'w') as file:
        file.write('nothing in here\n')
    for bad in (path, '/nowhere/bundle.pem'):
        gate = Gateway(providers={'up': {'kind': 'openai', 'base_url': 'https://localhost:1/v1', 'keys': [UP_KEY]}}, tls={'ca_file': bad}, wait=False)
        assert gate.wait_exit() != 0
        assert bad in gate.log, gate.log
    os.unlink(path)


def test_no_name_reaches_a_log_unescaped():
    up = server('good')
    gate = gateway({'up': up})
    eq(gate.chat(model='up/m').status, 200)
    assert until(lambda: gate.lines())
    assert not re.search(r'[\x00-\x08\x0b-\x1f]', gate.log)

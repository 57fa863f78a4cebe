"""TLS towards upstreams: a test authority's good and bad certificates, versions, names, resumption, truncation."""
import os
import socket
import ssl
import subprocess
import threading
import time

from harness import Gateway, Reply, cases, cleanup, refused_port, chat_stream, eq, limit, mock, provider, sub, text, until

CERTS = os.environ.get('E2E_CERTS', '/tmp/r2a-e2e/tls')


def server(name, version=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{CERTS}/{name}.pem', f'{CERTS}/{name}.key')
    context.minimum_version, context.maximum_version = version
    context.set_alpn_protocols(['http/1.1'])
    names = []
    context.sni_callback = lambda sock, host, ctx: names.append(host) or sock.context and None
    up = mock(ssl=context, **options)
    up.context, up.names = context, names
    return up


def gateway_to(up, host='localhost', ca='trust.pem', scheme='https', **more):
    return Gateway(providers={'up': provider(f'{scheme}://{host}:{up.port}/v1', retry={'attempts': 1}, **more)}, default_provider='up', tls={'ca_file': f'{CERTS}/{ca}'})


class openssl:
    """openssl s_server, whose alerts reach the client (Python's server drops them)."""

    def __init__(self, *options, cert='good'):
        self.port = refused_port()
        process = subprocess.Popen(['openssl', 's_server', '-accept', f'127.0.0.1:{self.port}', '-cert', f'{CERTS}/{cert}.pem', '-cert_chain', f'{CERTS}/{"ec-int" if cert == "good" else "rsa-int"}.crt', '-key', f'{CERTS}/{cert}.key', '-quiet', *options],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cleanup(process.kill)
        until(lambda: self.is_up())

    def is_up(self):
        try:
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        except OSError:
            return False


@cases('good', 'good-rsa', 'good-p384', 'good-p384-leaf', 'good-with-root', 'good-other')
@limit(60)
def test_good_chains(name):
    """Verified, with SNI and ALPN, streamed and not, over kept connections."""
    up = server(name)
    gateway = gateway_to(up)
    for stream in (False, True, False, True):
        answer = gateway.chat(model='m', stream=stream, messages=[{'role': 'user', 'content': 'x'}])
        eq(answer.status, 200, answer.text)
        if stream:
            eq(chat_stream(answer.events)['text'], 'Hello from the mock.')
        time.sleep(0.05)
    eq(up.connections, 1)
    eq(up.names, ['localhost'])


def test_addresses():
    """A certificate for addresses is checked against them; one for names is none for 127.0.0.1."""
    gateway = gateway_to(server('good-ip'), '127.0.0.1')
    eq(gateway.chat().status, 200)
    answer = gateway_to(server('good'), '127.0.0.1').chat()
    eq(answer.status, 502)
    assert 'another host' in answer.error[2], answer.error[2]


BAD = {'expired': 'expired', 'future': 'not yet valid', 'wrong-host': 'another host', 'self-signed': 'self-signed', 'unknown-issuer': 'issuer', 'no-intermediate': '', 'leaf-as-ca': '', 'name-in-cn': 'another host', 'big-key': '4096',
       'constraints': 'constraints', 'too-long': '', 'gap': '', 'disordered': ''}


@limit(60)
def test_bad_chains():
    """Each a 502 that names the phase and what is wrong, in each client's protocol; nothing of the request was sent."""
    messages = {}
    for name, words in BAD.items():
        with sub(name):
            up = server(name)
            gateway = gateway_to(up)
            answer = gateway.chat()
            eq((answer.status, answer.error[0]), (502, 'server_error'), answer.text)
            assert 'tls' in answer.error[2].lower(), answer.error[2]
            assert words in answer.error[2], answer.error[2]
            messages[name] = answer.error[2]
            answer = gateway.messages()
            eq((answer.status, answer.error[0]), (502, 'api_error'))
            eq(up.count(), 0)
            eq(gateway.metrics()['ring2api_upstream_errors_total{phase="tls"}'], 2)
            eq([x['end'] for x in gateway.lines() if x['method'] == 'POST'] if gateway.line(1, 2) else None, ['SC', 'SC'])
    with sub('distinct'):
        chosen = [messages.get(n) for n in ('expired', 'wrong-host', 'self-signed', 'unknown-issuer')]
        eq(len(set(chosen)), 4, str(chosen))


def test_not_trusted():
    """An authority that is not in the bundle; the system's bundle when none is named."""
    up = server('good')
    with sub('another authority'):
        answer = gateway_to(up, ca='stranger.pem').chat()
        eq(answer.status, 502)
        assert 'issuer' in answer.error[2], answer.error[2]
    with sub("the system's"):
        gateway = Gateway(providers={'up': provider(f'https://localhost:{up.port}/v1', retry={'attempts': 1})}, default_provider='up')
        eq(gateway.chat().status, 502)
    with sub('SSL_CERT_FILE'):
        gateway = Gateway(providers={'up': provider(f'https://localhost:{up.port}/v1')}, default_provider='up', env={'SSL_CERT_FILE': f'{CERTS}/trust.pem'})
        eq(gateway.chat().status, 200)
    eq(up.count(), 1)


def test_versions():
    """A server of TLS 1.3 only: 502 with the remedy; one of both: 1.2."""
    answer = gateway_to(openssl('-tls1_3')).chat()
    eq(answer.status, 502)
    assert 'TLS 1.2' in answer.error[2], answer.error[2]
    eq(gateway_to(server('good', (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))).chat().status, 200)


def test_refused_by_the_server():
    """A server that demands a client's certificate, and one with other algorithms only: said so."""
    for options, cert, word in ((['-tls1_2', '-Verify', '1', '-verify_return_error'], 'good', 'client certificate'), (['-tls1_2', '-cipher', 'DHE-RSA-AES256-SHA256'], 'good-rsa', 'no common')):
        with sub(word):
            answer = gateway_to(openssl(*options, cert=cert)).chat()
            eq(answer.status, 502)
            assert word in answer.error[2] and 'tls' in answer.error[2], answer.error[2]


class Plain:
    """A server that answers a TLS hello with HTTP."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.speak, daemon=True).start()

    def speak(self):
        while True:
            peer = self.listener.accept()[0]
            peer.recv(100)
            peer.sendall(b'HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')
            peer.close()


def test_no_tls_at_all():
    """https to a server that speaks plain text, to one that is silent, and http to one of TLS."""
    answer = gateway_to(Plain()).chat()
    eq(answer.status, 502)
    assert 'tls' in answer.error[2].lower(), answer.error[2]
    answer = gateway_to(mock(), timeouts={'connect_ms': 700}).chat()
    eq(answer.status, 504)
    assert 'connect' in answer.error[2].lower(), answer.error[2]
    answer = gateway_to(server('good'), scheme='http').chat()
    eq(answer.status, 502, answer.text)


def test_truncation():
    """An end without close_notify: harmless once HTTP's framing was complete, else 502 or the stream's error."""
    up = server('good')
    gateway = gateway_to(up)
    whole = 1 << 30
    for client in ('chat', 'messages'):
        with sub(f'until close, truncated, {client}'):
            up.default = Reply(framing='close', cut=whole)
            answer = getattr(gateway, client)()
            eq(answer.status, 502, answer.text)
        with sub(f'until close, closed properly, {client}'):
            up.default = Reply(framing='close')
            eq(getattr(gateway, client)().status, 200)
        with sub(f'of known length, {client}'):
            up.default = Reply(cut=whole)
            eq(getattr(gateway, client)().status, 200)
        with sub(f'short of its length, {client}'):
            up.default = Reply(cut=30)
            eq(getattr(gateway, client)().status, 502)
        with sub(f'stream cut, {client}'):
            up.default = Reply(turn=text('Some words in a stream'), cut=4)
            answer = getattr(gateway, client)(model='m', max_tokens=9, stream=True, messages=[{'role': 'user', 'content': 'x'}])
            assert 'error' in answer.events[-1][1]
        with sub(f'stream cut after its terminator, {client}'):
            up.default = Reply(turn=text('Some words in a stream'), framing='close')
            answer = getattr(gateway, client)(model='m', max_tokens=9, stream=True, messages=[{'role': 'user', 'content': 'x'}])
            assert 'error' not in answer.text, answer.text


def test_resumption():
    """A second connection resumes the session of the first."""
    up = server('good')
    up.default = Reply(turn=text('x'), close=True)
    gateway = gateway_to(up)
    for _ in range(4):
        eq(gateway.chat().status, 200)
    eq(up.connections, 4)
    assert up.context.session_stats()['hits'] >= 2, up.context.session_stats()


def test_large_bodies():
    """Megabytes both ways through TLS records."""
    up = server('good')
    gateway = gateway_to(up)
    up.default = Reply(turn=text('abcd' * 700000, size=3000))
    body = {'model': 'm', 'stream': True, 'messages': [{'role': 'user', 'content': 'y' * 3000000}]}
    eq(len(chat_stream(gateway.chat(body).events)['text']), 2800000)
    eq(len(up.last().json['messages'][0]['content']), 3000000)
    gateway.idle()


def test_dribbled_records():
    """TLS records a few bytes at a time."""
    up = server('good')
    up.default = Reply(turn=text('Dribbled over TLS.'), step=3)
    gateway = gateway_to(up)
    eq(chat_stream(gateway.chat(model='m', stream=True, messages=[{'role': 'user', 'content': 'x'}]).events)['text'], 'Dribbled over TLS.')


def test_peer_closes_kept_connections():
    """Over TLS too: a kept connection that was closed is replaced, unseen."""
    up = server('good')
    up.keep_max = 1
    gateway = gateway_to(up)
    eq([gateway.chat().status for _ in range(5)], [200] * 5)
    assert until(lambda: up.connections >= 5)

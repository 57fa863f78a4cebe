"""Host names of upstreams, through the whole gateway: a name server of the test's own on port 53, files of its own in place of
/etc/hosts and /etc/resolv.conf by a mount namespace. Skipped without the right to make one."""
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import UP_KEY, Gateway, Skip, cleanup, eq, mock, sub

A, AAAA = 1, 28


class Names:
    """Answers over UDP and TCP. `zone`: name -> addresses, None (no such name), 'silence', 'servfail'; a name in `large` is
    truncated over UDP."""

    def __init__(self, zone, large=()):
        self.zone, self.large = zone, large
        self.asked = []
        self.by_tcp = 0
        for _ in range(50):
            self.host = f'127.{os.getpid() >> 8 & 127 | 1}.{os.getpid() & 255}.{200 + os.urandom(1)[0] % 50}'
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind((self.host, 53))
                self.tcp.bind((self.host, 53))
                break
            except PermissionError:
                raise Skip('port 53 may not be bound here') from None
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(16)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()
        cleanup(self.udp.close)
        cleanup(self.tcp.close)

    def answer(self, query, is_tcp):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack('>H', query[at + 1:at + 3])[0]
        question = query[12:at + 5]
        name = '.'.join(labels)
        self.asked.append((name, kind))
        self.by_tcp += is_tcp
        values = self.zone.get(name)
        if values == 'silence':
            return None
        flags, answers = 0x8180, b''
        count = 0
        if values == 'servfail':
            flags |= 2
        elif values is None:
            flags |= 3
        elif name in self.large and not is_tcp:
            flags |= 0x200
        else:
            for value in values:
                family = socket.AF_INET6 if ':' in value else socket.AF_INET
                if kind == (AAAA if family == socket.AF_INET6 else A):
                    data = socket.inet_pton(family, value)
                    answers += b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 60, len(data)) + data
                    count += 1
        return query[:2] + struct.pack('>HHHHH', flags, 1, count, 0, 0) + question + answers

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(2048)
            except OSError:
                return
            answer = self.answer(query, False)
            if answer:
                self.udp.sendto(answer, peer)

    def serve_tcp(self):
        while True:
            try:
                link, _ = self.tcp.accept()
            except OSError:
                return
            data = b''
            with link:
                while True:
                    got = link.recv(2048)
                    if not got:
                        break
                    data += got
                    while len(data) >= 2 and len(data) >= 2 + struct.unpack('>H', data[:2])[0]:
                        size = struct.unpack('>H', data[:2])[0]
                        answer = self.answer(data[2:2 + size], True)
                        data = data[2 + size:]
                        link.sendall(struct.pack('>H', len(answer)) + answer)


def gateway(conf, hosts='', **more):
    """A gateway that sees these two files in /etc."""
    if not shutil.which('unshare') or subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip('no right to make a mount namespace')
    folder = harness.folder()
    for name, text in (('resolv.conf', conf), ('hosts', hosts)):
        with open(os.path.join(folder, name), 'w') as file:
            file.write(text)
    wrapper = os.path.join(folder, 'wrapper')
    with open(wrapper, 'w') as file:
        file.write('#!/bin/sh\n'
                   f'exec unshare -m sh -c \'mount --bind "{folder}/resolv.conf" /etc/resolv.conf && mount --bind "{folder}/hosts" /etc/hosts && exec "$0" "$@"\' '
                   f'"{os.path.abspath(harness.BIN)}" "$@"\n')
    os.chmod(wrapper, 0o755)
    kept, harness.BIN = harness.BIN, wrapper
    try:
        return Gateway(retry={'attempts': 1}, **more)
    finally:
        harness.BIN = kept


def provider(name, port):
    return {'kind': 'openai', 'base_url': f'http://{name}:{port}/v1', 'keys': [UP_KEY]}


def ask(gate, model):
    start = time.monotonic()
    answer = gate.chat(model=model)
    return answer, time.monotonic() - start


def test_names():
    up = mock()
    names = Names({
        'plain.example': ['127.0.0.1'],
        'two.example': ['127.0.0.9', '127.0.0.1'],
        'six.example': ['::1', '127.0.0.1'],
        'large.example': ['127.0.0.1'],
        'short.search.example': ['127.0.0.1'],
        'broken.example': 'servfail',
    }, large=('large.example',))
    dead = f'127.{os.getpid() & 127 | 1}.255.1'  # nobody listens there: refused at once
    hosts = '127.0.0.1 localhost fixed.example\n'
    which = {'plain': 'plain.example', 'two': 'two.example', 'six': 'six.example', 'large': 'large.example', 'short': 'short', 'fixed': 'fixed.example',
             'none': 'none.example', 'broken': 'broken.example'}
    gate = gateway(f'nameserver {dead}\nnameserver {names.host}\nsearch search.example\noptions timeout:1 attempts:1\n', hosts,
                   providers={key: provider(name, up.port) for key, name in which.items()})
    for key in ('plain', 'two', 'six', 'large', 'short', 'fixed'):
        with sub(key):
            answer, took = ask(gate, f'{key}/m')
            eq(answer.status, 200, answer.text)
            assert took < 2, took
    with sub('what was asked'):
        assert ('plain.example', A) in names.asked and ('plain.example', AAAA) in names.asked, names.asked
        assert ('fixed.example', A) not in names.asked, names.asked
        eq(names.by_tcp, 2)
    with sub('no such name'):
        answer, took = ask(gate, 'none/m')
        eq(answer.status, 502, answer.text)
        assert 'resolv' in answer.error[2], answer.text
        assert took < 1, took
    with sub('a server that fails'):
        answer, took = ask(gate, 'broken/m')
        eq(answer.status, 502, answer.text)
        assert 'resolv' in answer.error[2], answer.text
    gate.idle()


def test_a_lookup_does_not_hold_others_up():
    up = mock()
    names = Names({'slow.example': 'silence', 'plain.example': ['127.0.0.1']})
    gate = gateway(f'nameserver {names.host}\noptions timeout:2 attempts:1\n',
                   providers={'slow': provider('slow.example', up.port), 'plain': provider('plain.example', up.port)})
    slow = gate.stream('/v1/chat/completions', {'model': 'slow/m', 'messages': [{'role': 'user', 'content': 'x'}]})
    time.sleep(0.1)
    for _ in range(20):
        answer, took = ask(gate, 'plain/m')
        eq(answer.status, 200, answer.text)
        assert took < 0.5 * harness.SLOW_BUILD, took
    answer = slow.answer('POST')
    assert answer.status in (502, 504), answer.text
    slow.close()
    gate.idle()


def test_the_files_may_change():
    up = mock()
    names = Names({})
    gate = gateway(f'nameserver {names.host}\n', '127.0.0.1 localhost\n', providers={'up': provider('later.example', up.port)})
    answer, _ = ask(gate, 'up/m')
    eq(answer.status, 502, answer.text)
    with open(os.path.join(harness.folder(), 'hosts'), 'a') as file:
        file.write('127.0.0.1 later.example\n')
    time.sleep(1.2)  # looked at once a second at most
    answer, _ = ask(gate, 'up/m')
    eq(answer.status, 200, answer.text)
    gate.idle()

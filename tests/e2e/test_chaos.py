"""Everything at once, at random: clients that misbehave, upstreams that fail, reloads; then nothing may be left, and all who behaved were served."""
import json
import random
import socket
import threading
import time

from harness import Gateway, Reply, alone, calls, eq, limit, mock, provider, slow, text, think, until
from test_pairs import Asks

KINDS = {'o': 'openai', 'a': 'anthropic', 'r': 'openai-responses', 'g': 'gemini'}
WORDS = 'Words, mots, 言葉, слова 🌍 and more of them; '


def random_reply(dice, request):
    turn = text(WORDS * dice.randrange(1, 16), size=dice.choice((3, 9, 60, 3000)))
    if dice.random() < 0.3:
        turn = think('Hm… ' * dice.randrange(1, 9)) + turn
    if dice.random() < 0.3:
        turn = turn + calls(('c1', 'f', '{"a": "世界"}'), ('c2', 'f', ''), interleave=dice.random() < 0.5)
    reply = Reply(turn=turn, step=dice.choice((0, 0, 0, 0, 11, 200)), join=dice.choice((1, 1, 2, 50)), framing=dice.choice(('auto', 'auto', 'auto', 'close', 'length')), pace=dice.choice((0, 0, 0, 0.0005, 0.002)),
                  wait=dice.choice((0, 0, 0, 0.01, 0.1)), head_wait=dice.choice((0, 0, 0.02)), comments=dice.random() < 0.2, close=dice.random() < 0.1, http10=dice.random() < 0.05)
    return reply


def random_failure(dice, request):
    kind = dice.randrange(10)
    reply = random_reply(dice, request)
    if kind == 0:
        return Reply(status=dice.choice((400, 404, 422, 500, 503, 529)), wait=reply.wait)
    if kind == 1:
        return Reply(abrupt=True, reset=dice.random() < 0.5)
    if kind == 2:
        return Reply(garbage=dice.randbytes(dice.randrange(1, 300)))
    if kind == 3:
        return Reply(garbage=b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n' + dice.randbytes(40))
    if kind == 4:
        reply.stall = dice.randrange(0, 8)
        return reply
    if kind == 5:
        reply.break_at = dice.randrange(0, 8)
        return reply
    if kind == 6:
        reply.gzip = True
        return reply
    if kind == 7:
        return Reply(wait=30)
    reply.cut, reply.reset = dice.randrange(0, 10), dice.random() < 0.5
    return reply


class Client(threading.Thread):
    def __init__(self, gateway, seed, stop, report):
        super().__init__()
        self.gateway, self.dice, self.stop_at, self.report = gateway, random.Random(seed), stop, report
        self.good = 0

    def run(self):
        try:
            while time.monotonic() < self.stop_at:
                (self.well if self.dice.random() < 0.5 else self.badly)()
        except BaseException as error:
            import traceback
            self.report.append(f'{error!r}\n{traceback.format_exc()[-1500:]}')

    def ask(self, model):
        """A client's protocol and a request in it, for an upstream of any protocol."""
        dice = self.dice
        asks = Asks(dice.choice(list(KINDS.values())), f'{dice.choice("oarg")}/{model}', dice.random() < 0.7)
        body = asks.body(tools=dice.random() < 0.3, image=dice.random() < 0.2, think=dice.random() < 0.2)
        return asks, json.dumps(body).replace('PROMPT-is-private', 'x' * dice.choice((1, 50, 3000, 70000))).encode()

    def well(self):
        """A client that behaves, of an upstream that does: it must be served whole."""
        dice = self.dice
        raw = self.gateway.connect(timeout=20)
        for _ in range(dice.randrange(1, 4)):
            asks, body = self.ask('fine')
            raw.request('POST', asks.path, body, asks.headers)
            answer = raw.answer()
            eq(answer.status, 200, f'{asks.kind} to {asks.model}: {answer.text[:300]}')
            words = asks.read(answer)['text']
            assert words and words == WORDS * (len(words) // len(WORDS)), 'the text is not what was said'
            self.good += 1
            if answer.headers.get('connection') == 'close':
                break
        raw.close()

    def badly(self):
        """Either side misbehaves: an error or an end, in reasonable time."""
        dice = self.dice
        asks, body = self.ask(dice.choice(('fine', 'fails')))
        data = b'POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nanthropic-version: 2023-06-01\r\ncontent-length: %d\r\n\r\n' % (asks.path.encode(), len(body)) + body
        how = dice.randrange(7)
        raw = self.gateway.connect(timeout=20, receive=2048 if dice.random() < 0.2 else None)
        try:
            if how == 0:
                raw.send(data[:dice.randrange(len(data))])
            elif how == 1:
                raw.send(data + data + data[:50])
            elif how == 2:
                spoilt = bytearray(data)
                for _ in range(3):
                    spoilt[dice.randrange(min(len(data), 400))] = dice.randrange(256)
                raw.send(bytes(spoilt))
            else:
                raw.send(data)
            if how == 3:
                raw.half_close()
            if how in (4, 5):
                answer = raw.answer()
                assert answer.status in (200, 400, 404, 422, 500, 502, 503, 504, 529), answer
                if answer.status == 200 and answer.headers['content-type'] == 'text/event-stream' and asks.kind != 'gemini':
                    assert answer.events, 'an empty stream'
                    last = answer.events[-1]
                    assert last[1] == '[DONE]' or 'error' in last[1] or last[0] in ('message_stop', 'response.completed', 'response.failed'), f'{asks.kind} to {asks.model}: a stream without an end: {last}'
            else:
                time.sleep(dice.choice((0, 0.001, 0.02, 0.2)))
                raw.sock.settimeout(0.001)
                for _ in range(dice.randrange(3)):
                    raw.fill()
        except (ConnectionError, socket.timeout):
            assert how not in (4, 5), 'no answer'
        finally:
            if dice.random() < 0.5:
                raw.reset()
            else:
                raw.close()


def chaos(seconds, seed, clients, workers):
    dice = random.Random(seed)
    ups = {name: mock() for name in KINDS}
    config = {'providers': {name: provider(ups[name], kind, retry={'attempts': 1}) for name, kind in KINDS.items()}, 'workers': workers,
              'timeouts': {'first_byte_ms': 1500, 'idle_ms': 1200, 'client_header_ms': 1500, 'connect_ms': 2000}}
    gateway = Gateway(config)
    lock = threading.Lock()

    def choose(make):
        def it(request):
            with lock:
                return make(dice, request)
        return it
    for up in ups.values():
        up.on('fine', choose(random_reply))
        up.on('fails', choose(random_failure))
        up.default = Reply(lenient=True)
        up.expect_problems = True  # requests with turned bytes
    base = gateway.memory_used()
    errors, stop = [], time.monotonic() + seconds
    threads = [Client(gateway, seed * 1000 + i, stop, errors) for i in range(clients)]
    for thread in threads:
        thread.start()
    while time.monotonic() < stop:
        time.sleep(0.5)
        if dice.random() < 0.5:
            gateway.write(gateway.config)
            gateway.reload()
        assert gateway.process.poll() is None, f'it died: {gateway.log[-3000:]}'
    for thread in threads:
        thread.join()
    assert not errors, f'{len(errors)} failed; seed {seed}: {errors[0]}'
    good = sum(t.good for t in threads)
    assert good > 20, good
    gateway.idle(8)
    assert until(lambda: gateway.memory_used() <= base + 2 * 1048576, 5), (base, gateway.memory_used())
    eq(gateway.get('/health').status, 200)


@alone
@limit(60)
def test_a_while():
    chaos(5, 11, 12, 2)


@slow
@alone
@limit(240)
def test_longer():
    for seed in (1, 2, 3):
        chaos(20, seed, 20, 1 + seed % 3)

"""Back-pressure, many streams at once, promptness: what a proxy is for."""
import json
import threading
import time

from harness import (Gateway, Reply, SLOW_BUILD, alone, call, calls, cases, chat_stream, eq, limit, message_stream, mock, provider, slow, sub, text, until)

CLIENTS = {'openai': '/v1/chat/completions', 'anthropic': '/v1/messages'}
PAIRS = [(f'{c} to {u}', c, u) for c in CLIENTS for u in CLIENTS]
VERSION = [('anthropic-version', '2023-06-01')]


def ask(model, client='openai', **more):
    return dict({'model': model, 'max_tokens': 100, 'stream': True, 'messages': [{'role': 'user', 'content': 'x'}]}, **more)


def read(client, raw):
    head = raw.head()
    eq(head.status, 200)
    events = [e for e in raw.events() if e[0] != ':']
    return (chat_stream if client == 'openai' else message_stream)(events)


@alone
@cases(*PAIRS)
@limit(60)
def test_slow_client_pauses_its_upstream(case):
    """A client that does not read stops its own upstream; memory stays small; another stream runs on time; nothing is lost."""
    _, client, upstream = case
    up = mock()
    gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up')
    words = 'word ' * 4000000  # 20 MB
    up.on('big', Reply(turn=text(words, size=20000)))
    up.on('brisk', Reply(turn=text('brisk ' * 40, size=6), pace=0.02))
    before = gateway.memory_used()
    raw = gateway.connect(receive=8192, timeout=40)
    raw.request('POST', CLIENTS[client], ask('big'), VERSION)
    raw.head()
    brisk = gateway.stream(CLIENTS[client], ask('brisk'), VERSION)
    gaps, last, arrivals = [], None, 0
    brisk.head()
    for _ in brisk.events():
        now = time.monotonic()
        if last:
            gaps.append(now - last)
        last, arrivals = now, arrivals + 1
    gaps.sort()
    assert gaps[len(gaps) // 2] < 0.1 * SLOW_BUILD and gaps[-1] < 1.0 * SLOW_BUILD, f'median {gaps[len(gaps) // 2] * 1000:.0f} ms, worst {gaps[-1] * 1000:.0f} ms beside a stalled stream'
    time.sleep(0.5)
    used = gateway.memory_used() - before
    assert used < 2 * 1048576, f'{used} bytes are held for a client that does not read'
    assert not up.last('big').is_complete, 'the upstream was not paused'
    got = 0
    name = 'chat' if client == 'openai' else 'messages'
    for event, data in raw.events():
        if data.startswith('{'):
            value = json.loads(data)
            if name == 'chat':
                got += len((value['choices'][0]['delta'].get('content') or '') if value.get('choices') else '')
            elif value['type'] == 'content_block_delta':
                got += len(value['delta'].get('text', ''))
    eq(got, len(words), 'characters that arrived')
    raw.close()
    brisk.close()
    gateway.idle()


@limit(60)
def test_slow_client_is_ended():
    """A client that takes nothing for idle_ms is let go, and its upstream with it."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', timeouts={'idle_ms': 800})
    up.on('big', Reply(turn=text('word ' * 4000000, size=20000)))
    raw = gateway.connect(receive=8192)
    raw.request('POST', '/v1/chat/completions', ask('big'))
    raw.head()
    assert until(lambda: up.last().gone_at, 8), 'the upstream of a dead client goes on'
    line = gateway.line()
    eq(line['end'][0] in 'cC', True, line)
    raw.close()
    gateway.idle()


@alone
@limit(90)
@cases(*PAIRS)
def test_two_hundred_streams(case):
    """200 parallel streams, none lost, none mixed up."""
    _, client, upstream = case
    up = mock()
    gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up', workers=2)
    up.default = lambda r: Reply(turn=text(f'{r.model} says ' + 'so ' * 20, size=4), pace=0.01)
    raws = []
    for i in range(200):
        raw = gateway.connect(timeout=40)
        raw.request('POST', CLIENTS[client], ask(f'model-{i}'), VERSION)
        raws.append(raw)
    for i, raw in enumerate(raws):
        out = read(client, raw)
        eq(out['text'], f'model-{i} says ' + 'so ' * 20, f'stream {i}')
        raw.close()
    gateway.idle(6)
    assert until(lambda: gateway.memory_used() < 1048576)


@alone
@cases(*PAIRS)
def test_every_event_at_once(case):
    """No event waits for the next one, and the first does not wait for the second."""
    _, client, upstream = case
    up = mock()
    gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up')
    up.default = Reply(turn=text('one two three four five six seven eight nine ten', size=5), pace=0.12)
    worst = 9.0
    for _ in range(3):
        raw = gateway.stream(CLIENTS[client], ask('m'), VERSION)
        raw.head()
        times = []
        for name, data in raw.events():
            if '"content":"' in data or 'text_delta' in data:
                times.append(time.monotonic())
        gaps = [b - a for a, b in zip(times, times[1:])]
        worst = min(worst, max(abs(g - 0.12) for g in gaps[1:]))
        if worst < 0.06:
            break
    assert len(times) >= 9, 'events were joined'
    assert worst < 0.08 * SLOW_BUILD, f'an event came {worst * 1000:.0f} ms off its time'


@alone
@limit(60)
def test_load_with_everything():
    """Mixed traffic from 24 threads for a few seconds: all answered, all right, memory flat, connections reused."""
    ups = {'o': mock(), 'a': mock()}
    gateway = Gateway(providers={'o': provider(ups['o']), 'a': provider(ups['a'], 'anthropic')}, workers=2)
    for up in ups.values():
        up.default = lambda r: Reply(turn=text('Some words of an answer, ' + r.model), pace=0.001)
        up.on('calls', Reply(turn=calls(('c1', 'f', '{"a": 1}'), ('c2', 'f', '{"b": 2}'))))
        up.on('fails', Reply(status=400))
        up.on('cut', Reply(turn=text('A stream that ends too early'), cut=4))
    stop, errors, done = time.monotonic() + 4, [], []
    tools = {'openai': [{'type': 'function', 'function': {'name': 'f', 'parameters': {'type': 'object', 'properties': {}}}}], 'anthropic': [{'name': 'f', 'input_schema': {'type': 'object', 'properties': {}}}]}

    def work(number):
        raw = gateway.connect(timeout=30)
        i = number
        try:
            while time.monotonic() < stop:
                i += 1
                client = ('openai', 'anthropic')[i % 2]
                where = 'oa'[i // 2 % 2]
                model = ('m', 'm', 'calls', 'fails', 'm', 'cut')[i % 6]
                stream = i % 3 != 0 or model == 'cut'
                body = ask(f'{where}/{model}', stream=stream, messages=[{'role': 'user', 'content': 'x' * (i * 37 % 30000 + 1)}])
                if model == 'calls':
                    body['tools'] = tools[client]
                raw.request('POST', CLIENTS[client], body, VERSION)
                answer = raw.answer()
                eq(answer.status, 400 if model == 'fails' else 200, f'{client} to {where}/{model}')
                if model == 'cut':
                    assert 'error' in answer.events[-1][1]
                elif model != 'fails' and stream:
                    out = (chat_stream if client == 'openai' else message_stream)(answer.events)
                    eq(out['text'], '' if model == 'calls' else 'Some words of an answer, m')
                    eq(len(out['calls']), 2 if model == 'calls' else 0)
                done.append(1)
                if answer.headers.get('connection') == 'close':
                    raw.close()
                    raw = gateway.connect(timeout=30)
        except BaseException as error:
            errors.append(f'{error!r}')
        raw.close()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    assert len(done) > 100, len(done)
    gateway.idle()
    assert until(lambda: gateway.memory_used() < 2 * 1048576)
    values = gateway.metrics()
    reused = [v for n, v in values.items() if 'reuse' in n][0]
    assert reused > len(done) / 3, f'{reused} of {len(done)} reused a connection'


@slow
@limit(120)
def test_memory_is_flat():
    """Thousands of exchanges leave the resident size where it was."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up, 'anthropic')}, default_provider='up')

    def some(count):
        raw = gateway.connect()
        for i in range(count):
            raw.request('POST', '/v1/chat/completions', ask('m', stream=bool(i % 2)))
            eq(raw.answer().status, 200)
        raw.close()
    some(300)
    base = gateway.rss()
    some(2500)
    grown = gateway.rss() - base
    assert grown < (320 if SLOW_BUILD > 1 else 1) * 1048576, f'{grown} bytes'


@slow
@limit(120)
def test_thousand_streams():
    """1,000 streams held at once by two workers, all ended whole."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up', workers=2)
    up.default = Reply(turn=text('so it goes'), head_wait=3)
    raws = []
    for i in range(1000):
        raw = gateway.connect(timeout=60)
        raw.request('POST', '/v1/chat/completions', ask('m'))
        raws.append(raw)
    assert until(lambda: gateway.metrics()['ring2api_slots_used{kind="exchange"}'] > 900, 20)
    for raw in raws:
        eq(read('openai', raw)['text'], 'so it goes')
        raw.close()
    gateway.idle(8)

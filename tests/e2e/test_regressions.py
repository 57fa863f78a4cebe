"""Rows of the list of what other gateways got wrong (conversion.md 5) that only whole exchanges can show, each by its number."""
import json
import time

from harness import PROMPT, Gateway, Reply, SLOW_BUILD, chat_stream, eq, message_stream, mock, provider, sub, text, until
from mock import anthropic_messages, openai_chat

VERSION = [('anthropic-version', '2023-06-01')]
PATHS = {'openai': '/v1/chat/completions', 'anthropic': '/v1/messages', 'gemini': '/v1beta/models/m:streamGenerateContent?alt=sse'}
DIALECTS = {'openai': openai_chat, 'anthropic': anthropic_messages}


def ask(client, stream=True):
    if client == 'gemini':
        return {'contents': [{'role': 'user', 'parts': [{'text': PROMPT}]}]}
    return {'model': 'm', 'max_tokens': 100, 'stream': stream, 'messages': [{'role': 'user', 'content': PROMPT}]}


def start(kind, **more):
    up = mock()
    return up, Gateway(providers={'up': provider(up, kind, retry={'attempts': 1})}, default_provider='up', **more)


def each_pair(test):
    for client in PATHS:
        for kind in DIALECTS:
            with sub(f'{client} to {kind}'):
                test(client, kind, *start(kind))


def words(client, answer):
    eq(answer.status, 200, answer.text)
    if client == 'gemini':
        chunks = [json.loads(data) for _, data in answer.events]
        return ''.join(p.get('text', '') for c in chunks for p in c['candidates'][0].get('content', {}).get('parts', []))
    return (chat_stream if client == 'openai' else message_stream)(answer.events)['text']


def test_regression_92_events_without_space_and_split_across_reads():
    def test(client, kind, up, gateway):
        events = b''.join(DIALECTS[kind].stream(text('Wörter 🙂 hier', size=5), type('R', (), {'model': 'm', 'json': ask('openai')})))
        for data in (events, events.replace(b'data: ', b'data:').replace(b'event: ', b'event:')):
            up.default = Reply(events=[data], step=7)
            eq(words(client, gateway.post(PATHS[client], ask(client), VERSION)), 'Wörter 🙂 hier')
    each_pair(test)


def test_regression_104_without_alt_sse_a_json_array():
    for kind in DIALECTS:
        with sub(kind):
            up, gateway = start(kind)
            up.default = Reply(turn=text('One two three', size=4), pace=0.01)
            answer = gateway.post('/v1beta/models/m:streamGenerateContent', ask('gemini'))
            eq((answer.status, answer.headers['content-type'].split(';')[0]), (200, 'application/json'))
            chunks = answer.json()
            assert isinstance(chunks, list) and len(chunks) > 1, answer.text
            eq(''.join(p.get('text', '') for c in chunks for p in c['candidates'][0].get('content', {}).get('parts', [])), 'One two three')
            eq(chunks[-1]['candidates'][0]['finishReason'], 'STOP')
            with sub('broken off'):
                up.default = Reply(turn=text('This is cut off here', size=4), cut=5, pace=0.01)
                answer = gateway.post('/v1beta/models/m:streamGenerateContent', ask('gemini'))
                assert 'error' in answer.json()[-1], answer.text


def test_regression_108_the_upstream_is_cancelled():
    def test(client, kind, up, gateway):
        for reply in (Reply(wait=20), Reply(turn=text('w ' * 400, size=2), pace=0.05)):
            up.default = reply
            count = up.count()
            raw = gateway.stream(PATHS[client], ask(client), VERSION)
            assert until(lambda: up.count() > count and up.seen[-1].read_at), 'not asked'
            time.sleep(0.15)
            left = time.monotonic()
            raw.close()
            assert until(lambda: up.seen[-1].gone_at), 'the upstream goes on'
            assert up.seen[-1].gone_at - left < 0.1 * SLOW_BUILD + 0.1, up.seen[-1].gone_at - left
    each_pair(test)


def test_regression_110_same_protocol_bodies_keep_their_bytes():
    for kind in DIALECTS:
        with sub(kind):
            up, gateway = start(kind)
            body = json.dumps(ask(kind, False), indent=2).replace('"stream"', '"vendor\\u0058" : [ 1.50, {"b":1,"a":"\\/"} ],\n "stream"').encode()
            said = json.loads(DIALECTS[kind].plain(text('x'), type('R', (), {'model': 'm', 'json': {}, 'path': ''})))
            answer = json.dumps(dict(said, later={'z': 1.0, 'a': 'é'}), indent=1).replace(': "x"', ' :  "\\u0078"').encode()
            up.default = Reply(body=answer, lenient=True)
            got = gateway.post(PATHS[kind], body, VERSION)
            eq((up.last().body, got.body), (body, answer))

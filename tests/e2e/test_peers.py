"""The peers' vectors: other gateways' recorded traffic through ours. Their expectations are opinions, so each difference is either explained by a rule in
peers/explained.txt or fails; and a rule that explains nothing any more fails too."""
import glob
import gzip
import json
import os
import random
import re

import peers
from harness import HERE, Gateway, Reply, Skip, chat_stream, eq, limit, message_stream, mock, provider, responses_stream, short, sub, text
from mock import anthropic_messages, gemini, openai_chat, openai_responses

FILE = os.path.join(os.environ.get('VECTORS_DIR', ''), 'peers', 'vectors.jsonl')
TABLE = os.path.join(HERE, 'peers', 'explained.txt')
STRICT = {'openai': chat_stream, 'openai-responses': responses_stream, 'anthropic': message_stream}
PROFILES = {'gpt-*': {'oc.flavour': 'openai'}}  # such models are asked as at their vendor's
STATUS = {'OK': 200, 'BadRequest': 400, 'TooManyRequests': 429, 'ServiceUnavailable': 503}


def vectors():
    if not os.path.exists(FILE):
        raise Skip('no vectors at VECTORS_DIR')
    with open(FILE) as file:
        found = [json.loads(line) for line in file]
    seen = {}
    for vector in found:  # one id is given twice
        seen[vector['id']] = seen.get(vector['id'], 0) + 1
        if seen[vector['id']] > 1:
            vector['id'] += f'#{seen[vector["id"]]}'
    return found


def kind_of_client(vector):
    path = vector['client']['path']
    return 'pass' if re.search('embeddings|images', path) else 'anthropic' if 'messages' in path else 'openai-responses' if 'responses' in path else 'gemini' if 'generateContent' in path else 'openai'


def kind_of_upstream(vector):
    path = vector['upstream'].get('expect_path') or ''
    for mark, kind in (('chat/completions', 'openai'), ('responses', 'openai-responses'), ('rawPredict', 'anthropic'), ('/invoke', 'anthropic'), ('messages', 'anthropic'), ('generateContent', 'gemini')):
        if mark in path.lower() or mark in path:
            return kind
    name = vector['upstream']['protocol']
    if name == 'openai':
        return 'openai-responses' if kind_of_client(vector) == 'openai-responses' else 'openai'
    return {'vertex_anthropic': 'anthropic', 'bedrock_anthropic': 'anthropic', 'gemini_openai_compat': 'openai', 'azure_openai': 'openai'}.get(name) or peers.KINDS[name]


def request_of(vector, kind):
    """What the client asks: the vector's words, or as few as its protocol takes."""
    client, want = vector['client'], vector.get('expect', {}).get('client_body')
    path = client['path'].replace('/anthropic/', '/')
    if 'body' in client:
        body = client['body']
        return path.replace('MODEL', 'replaceme'), body
    model = (isinstance(want, dict) and want.get('model')) or 'm'
    body = {'model': model, 'stream': client['stream']}
    if kind == 'openai-responses':
        body['input'] = 'Hi'
    else:
        body.update(messages=[{'role': 'user', 'content': 'Hi'}], max_tokens=1000)
    if kind == 'openai' and client['stream']:
        body['stream_options'] = {'include_usage': True}
    return path, body


def reply_of(vector, is_stream, step):
    response = vector['upstream'].get('response')
    if response is None:
        return None
    status, body, how = response['status'], response.get('body'), response.get('kind') or ''
    if isinstance(status, dict):
        status = STATUS[re.search(r'http\.Status(\w+)\)', status['go_expr'])[1]]
    content_type = response.get('content_type') or ('text/event-stream' if 'sse' in how else 'application/json')
    name, _, value = (response.get('headers') or '').partition(':')
    headers = {'content-type': value if name == 'content-type' else content_type}
    if how.startswith('sse'):  # each line is the data of an event, or a line of one as written
        lines = [line if line.startswith(('data:', 'event:')) else f'data: {line}' for line in body.splitlines() if line.strip()]
        body = ''.join(f'{line}\n' if line.startswith('event:') else f'{line}\n\n' for line in lines)
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    if 'gzip' in how:
        data = gzip.compress(data)
        headers['content-encoding'] = 'gzip'
    if is_stream and status == 200 and 'event-stream' in content_type:
        pieces, at = [], 0
        while at < len(data):
            size = step() if step else len(data)
            pieces.append(data[at:at + size])
            at += size
        return Reply(events=pieces, headers=headers)
    return Reply(body=data, status=status, headers=headers)


class Replay:
    def __init__(self):
        self.up, self.gateways = mock(), {}

        async def exchange(link, reader, writer, request):
            await self.up._read_body(reader, request)
            reply = self.up.default
            return await self.up._play(link, writer, request, Reply(turn=text('Hello')) if reply is None else reply, dialect_for(request.path))
        self.up._exchange = exchange

    def gateway(self, kind, model, is_alone):
        """For that kind of upstream; `is_alone`: not to be asked anything else, since what comes rests a key or a provider."""
        name = model.split('/')[0] if '/' in model else 'up'
        if is_alone or (kind, name) not in self.gateways:
            made = Gateway(providers={name: provider(self.up, kind, retry={'attempts': 1})}, default_provider=name, model_profiles=PROFILES)
            if is_alone:
                return made
            self.gateways[kind, name] = made
        return self.gateways[kind, name]

    def run(self, vector):
        """All differences between what the peer expects and what we do."""
        client, upstream = kind_of_client(vector), kind_of_upstream(vector)
        path, body = request_of(vector, client)
        is_stream = bool(isinstance(body, dict) and body.get('stream'))
        generator = random.Random(vector['id'])
        found, first = {}, None
        for step in (None, lambda: 1, lambda: generator.randint(1, 60)) if is_stream else (None,):
            self.up.default = reply_of(vector, is_stream, step)
            is_bad = self.up.default is not None and self.up.default.status >= 400
            model = body.get('model', '') if isinstance(body, dict) else ''
            gateway = self.gateway(upstream, model if vector['peer'] == 'litellm' else '', is_bad)
            count = len(self.up.seen)
            answer = gateway.post(path, body, [('anthropic-version', '2023-06-01')] if client == 'anthropic' else [])
            asked = self.up.seen[-1] if len(self.up.seen) > count else None
            got = self.read(client, answer, is_stream)
            if first is None:
                first = got
                found = dict(self.compare(vector, client, upstream, answer, asked, got))
                if asked is not None and client not in (upstream, 'pass'):
                    dialect_for(asked.path).validate(asked)  # as strictly as the vendor
                if is_stream and answer.status == 200 and client != upstream:
                    self.check_grammar(client, answer)
            eq(peers.normal(client, got, True), peers.normal(client, first, True), 'cut otherwise')
        return found

    @staticmethod
    def read(kind, answer, is_stream):
        if is_stream and answer.status == 200:
            return peers.JOINED[kind](peers.events_of(answer.text))
        body = gzip.decompress(answer.body) if answer.headers.get('content-encoding') == 'gzip' else answer.body
        try:
            return json.loads(body)
        except ValueError:
            return body.decode()

    @staticmethod
    def check_grammar(kind, answer):
        if b'"error":{' not in answer.body and b'response.failed' not in answer.body:
            STRICT[kind](answer.events)

    @staticmethod
    def compare(vector, client, upstream, answer, asked, got):
        want, expect = vector['upstream'], vector.get('expect', {})
        unmodelled = vector['match'] == 'json-equal-except-model'
        status = expect.get('client_status', answer.status)
        status = STATUS.get(status, status)
        if answer.status != status:
            yield 'answered ~status', (status, answer.status)
        path = want.get('expect_path')
        if (path or 'expect_body' in want) and asked is None:
            yield 'asked -request', (path, answer.text)
        elif path and not asked.path.split('?')[0].endswith(path):
            yield 'asked ~path', (path, asked.path)
        if want.get('expect_body') is not None and asked is not None:
            for difference, values in peers.differences(peers.normal(upstream, want['expect_body'], False), peers.normal(upstream, asked.json, False)):
                if not (unmodelled and difference == '~model'):
                    yield f'asked {difference}', values
        wanted = expect.get('client_body')
        is_subset = 'client_body_subset' in expect
        if is_subset:
            wanted = expect['client_body_subset']
        if 'client_sse' in expect or (isinstance(wanted, str) and 'data:' in wanted):
            wanted = peers.JOINED[client](peers.events_of(expect.get('client_sse') or wanted))
        if wanted is not None:
            for difference, values in peers.differences(peers.normal(client, wanted, True), peers.normal(client, got, True)):
                if not (is_subset and difference.startswith('+')):
                    yield f'answered {difference}', values


def dialect_for(path):
    for mark, dialect in (('messages', anthropic_messages), ('responses', openai_responses), ('enerateContent', gemini)):
        if mark in path:
            return dialect
    return openai_chat


@limit(120)
def test_replay():
    here, rules = vectors(), peers.table(TABLE)
    replay, unused = Replay(), {(reason, pattern) for reason, patterns, _ in rules for pattern in patterns}
    for vector in here:
        mine = [(reason, patterns) for reason, patterns, ids in rules if vector['id'] in ids]
        if any(patterns == ['skipped'] for _, patterns in mine):
            continue
        with sub(vector['id']):
            found = replay.run(vector)
            unexplained = set(found)
            for reason, patterns in mine:
                hit = {(d, p) for d in found for p in patterns if peers.matches(p, d)}
                assert hit, f'nothing differs any more by "{reason}"'
                unused -= {(reason, p) for _, p in hit}
                unexplained -= {d for d, _ in hit}
            assert not unexplained, '\n    '.join(['not explained:', *(f'{d}: theirs {short(found[d][0], 500)}, ours {short(found[d][1], 500)}' for d in sorted(unexplained))])
    with sub('the table has no row too many'):
        eq({(r, p) for r, p in unused if p != 'skipped'}, set())
        eq({i for _, _, ids in rules for i in ids} - {v['id'] for v in here}, set())


# ---- answers and errors of other vendors --------------------------------------------------------------------------

# Whose own API is none of the four.
OTHERS = ('bedrock', 'cohere', 'replicate', 'vertex_ai')


def recorded():
    """(name, kind of upstream, whether it is a stream, status, bytes) of vendors' recorded answers."""
    root = os.path.dirname(FILE)
    if not os.path.isdir(root):
        raise Skip('no vectors at VECTORS_DIR')
    for path in sorted(glob.glob(os.path.join(root, 'ferro-labs', '*', '*')) + glob.glob(os.path.join(root, 'gomodel', '*', '*.*'))):
        vendor, name = path.split(os.sep)[-2:]
        match = re.fullmatch(r'chat\.response\.json|(?:chat|messages|responses).*(?<!golden)\.json|.*stream\.(?:sse|txt)|error\.(\d+)\.json', name)
        if not match or vendor in OTHERS or 'golden' in path:
            continue
        with open(path, 'rb') as file:
            data = file.read()
        kind = 'openai-responses' if name.startswith('responses') else 'anthropic' if vendor == 'anthropic' else 'gemini' if b'"candidates"' in data or b'INVALID_ARGUMENT' in data else 'openai'
        yield f'{vendor}/{name}', kind, 'stream' in name, int(match[1] or 200), data


@limit(120)
def test_recorded():
    """What 30 vendors answer is read, and says the same to a client of each protocol; what they refuse is told in that protocol's words."""
    from test_pairs import Asks
    replay = Replay()
    for name, kind, is_stream, status, data in recorded():
        with sub(name):
            texts = {}
            for client in peers.JOINED:
                if client == kind:  # a relay passes even what its own protocol would not have
                    continue
                gateway = replay.gateway(kind, '', status == 401)  # which rests a key
                replay.up.default = Reply(events=[data], headers={'content-type': 'text/event-stream'}) if is_stream else Reply(body=data, status=status)
                asks = Asks(client, 'm', is_stream)
                answer = asks.ask(gateway)
                if status >= 400:
                    assert answer.status in (404, 502), answer
                    error = answer.json()['error']
                    assert error['message'] and not error['message'].lstrip().startswith(('{', '<')), error
                    continue
                eq(answer.status, 200, answer.text)
                out = asks.read(answer)
                texts[client] = (out['text'], [(n, json.loads(a or '{}')) for _, n, a in out['calls']])
            for first in list(texts.values())[:1]:
                assert first[0] or first[1], 'nothing was said'
                eq(texts, {client: first for client in texts})

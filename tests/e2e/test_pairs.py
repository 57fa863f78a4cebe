"""Every client protocol in front of every upstream protocol: what is asked arrives under the target's strict rules, what is answered comes back whole."""
import json

from harness import PROMPT, Gateway, Reply, Usage, calls, cases, chat_stream, eq, gemini_answer, gemini_stream, message_stream, mock, provider, responses_stream, sub, text, think

KINDS = ('openai', 'openai-responses', 'anthropic', 'gemini')
PAIRS = [(f'{c} to {u}', c, u) for c in KINDS for u in KINDS]
SCHEMA = {'type': 'object', 'properties': {'city': {'type': 'string', 'description': 'Where'}, 'days': {'type': 'integer', 'minimum': 1}}, 'required': ['city'], 'additionalProperties': False}
PNG = 'iVBORw0KGgo='
HELLO = 'Grüße, 世界 🌍, "quoted" \\ and\nlines.'
SYSTEM = 'Be brief & kind.'


class Asks:
    """One conversation in each protocol's words."""

    def __init__(self, kind, model, stream):
        self.kind, self.model, self.stream = kind, model, stream

    @property
    def path(self):
        if self.kind == 'gemini':
            return f'/v1beta/models/{self.model}:' + ('streamGenerateContent?alt=sse' if self.stream else 'generateContent')
        return {'openai': '/v1/chat/completions', 'openai-responses': '/v1/responses', 'anthropic': '/v1/messages'}[self.kind]

    @property
    def headers(self):
        return [('anthropic-version', '2023-06-01')] if self.kind == 'anthropic' else []

    def body(self, tools=False, image=False, think=False, history=(), limits=False):
        """history: pairs (calls, results): what was called so far, and what came of it."""
        kind = self.kind
        if kind == 'openai':
            content = [{'type': 'text', 'text': PROMPT}, {'type': 'image_url', 'image_url': {'url': f'data:image/png;base64,{PNG}'}}] if image else PROMPT
            out = {'model': self.model, 'messages': [{'role': 'system', 'content': SYSTEM}, {'role': 'user', 'content': content}], 'stream': self.stream}
            if self.stream:
                out['stream_options'] = {'include_usage': True}
            if tools:
                out['tools'] = [{'type': 'function', 'function': {'name': n, 'description': 'd', 'parameters': SCHEMA}} for n in ('weather', 'clock')]
            if think:
                out['reasoning_effort'] = 'high'
            if limits:
                out.update(max_completion_tokens=500, temperature=0.5, stop=['END'])
            for made, results in history:
                out['messages'].append({'role': 'assistant', 'content': None, 'tool_calls': [{'id': i, 'type': 'function', 'function': {'name': n, 'arguments': a}} for i, n, a in made]})
                out['messages'] += [{'role': 'tool', 'tool_call_id': i, 'content': r} for (i, _, _), r in zip(made, results)]
        elif kind == 'openai-responses':
            content = [{'type': 'input_text', 'text': PROMPT}] + ([{'type': 'input_image', 'image_url': f'data:image/png;base64,{PNG}', 'detail': 'auto'}] if image else [])
            out = {'model': self.model, 'instructions': SYSTEM, 'input': [{'role': 'user', 'content': content}], 'stream': self.stream, 'store': False}
            if tools:
                out['tools'] = [{'type': 'function', 'name': n, 'description': 'd', 'parameters': SCHEMA, 'strict': False} for n in ('weather', 'clock')]
            if think:
                out['reasoning'] = {'effort': 'high', 'summary': 'auto'}
            if limits:
                out.update(max_output_tokens=500, temperature=0.5)
            for made, results in history:
                out['input'] += [{'type': 'function_call', 'call_id': i, 'name': n, 'arguments': a} for i, n, a in made]
                out['input'] += [{'type': 'function_call_output', 'call_id': i, 'output': r} for (i, _, _), r in zip(made, results)]
        elif kind == 'anthropic':
            content = [{'type': 'text', 'text': PROMPT}] + ([{'type': 'image', 'source': {'type': 'base64', 'media_type': 'image/png', 'data': PNG}}] if image else [])
            out = {'model': self.model, 'max_tokens': 9000, 'system': SYSTEM, 'messages': [{'role': 'user', 'content': content}], 'stream': self.stream}
            if tools:
                out['tools'] = [{'name': n, 'description': 'd', 'input_schema': SCHEMA} for n in ('weather', 'clock')]
            if think:
                out['thinking'] = {'type': 'enabled', 'budget_tokens': 4096}
            if limits:
                out.update(max_tokens=500, temperature=0.5, stop_sequences=['END'])
            for made, results in history:
                out['messages'].append({'role': 'assistant', 'content': [{'type': 'tool_use', 'id': i, 'name': n, 'input': json.loads(a)} for i, n, a in made]})
                out['messages'].append({'role': 'user', 'content': [{'type': 'tool_result', 'tool_use_id': i, 'content': r} for (i, _, _), r in zip(made, results)]})
        else:
            parts = [{'text': PROMPT}] + ([{'inlineData': {'mimeType': 'image/png', 'data': PNG}}] if image else [])
            out = {'systemInstruction': {'parts': [{'text': SYSTEM}]}, 'contents': [{'role': 'user', 'parts': parts}]}
            if tools:
                out['tools'] = [{'functionDeclarations': [{'name': n, 'description': 'd', 'parametersJsonSchema': SCHEMA} for n in ('weather', 'clock')]}]
            config = {}
            if think:
                config['thinkingConfig'] = {'includeThoughts': True, 'thinkingBudget': 4096}
            if limits:
                config.update(maxOutputTokens=500, temperature=0.5, stopSequences=['END'])
            if config:
                out['generationConfig'] = config
            for made, results in history:
                out['contents'].append({'role': 'model', 'parts': [{'functionCall': {'name': n, 'args': json.loads(a), 'id': i}} for i, n, a in made]})
                out['contents'].append({'role': 'user', 'parts': [{'functionResponse': {'name': n, 'response': {'output': r}, 'id': i}} for (i, n, _), r in zip(made, results)]})
        return out

    def read(self, answer):
        """text, thinking, calls, finish, usage of an answer, streamed or not, after its protocol's own rules."""
        kind = self.kind
        if self.stream:
            eq(answer.headers['content-type'], 'text/event-stream')
            if kind == 'gemini':
                return gemini_stream(answer.body)
            return {'openai': chat_stream, 'openai-responses': responses_stream, 'anthropic': message_stream}[kind](answer.events)
        value = answer.json()
        if kind == 'gemini':
            return gemini_answer([value])
        if kind == 'openai':
            message = value['choices'][0]['message']
            return {'text': message['content'] or '', 'thinking': message.get('reasoning_content') or '', 'calls': [[c['id'], c['function']['name'], c['function']['arguments']] for c in message.get('tool_calls', [])],
                    'finish': value['choices'][0]['finish_reason'], 'usage': value['usage']}
        if kind == 'anthropic':
            blocks = value['content']
            return {'text': ''.join(b['text'] for b in blocks if b['type'] == 'text'), 'thinking': ''.join(b['thinking'] for b in blocks if b['type'] == 'thinking'),
                    'calls': [[b['id'], b['name'], json.dumps(b['input'])] for b in blocks if b['type'] == 'tool_use'], 'finish': value['stop_reason'], 'usage': value['usage']}
        items = value['output']
        return {'text': ''.join(p['text'] for i in items if i['type'] == 'message' for p in i['content']), 'thinking': ''.join(s['text'] for i in items if i['type'] == 'reasoning' for s in i['summary']),
                'calls': [[i['call_id'], i['name'], i['arguments']] for i in items if i['type'] == 'function_call'], 'finish': value['status'], 'usage': value['usage']}

    def ask(self, gateway, **more):
        return gateway.post(self.path, self.body(**more), self.headers)

    def total(self, usage):
        """(all input tokens, all output tokens)"""
        kind = self.kind
        if kind == 'openai':
            return usage['prompt_tokens'], usage['completion_tokens']
        if kind == 'openai-responses':
            return usage['input_tokens'], usage['output_tokens']
        if kind == 'anthropic':
            return usage['input_tokens'] + (usage.get('cache_read_input_tokens') or 0) + (usage.get('cache_creation_input_tokens') or 0), usage['output_tokens']
        return usage['promptTokenCount'], usage.get('candidatesTokenCount', 0) + usage.get('thoughtsTokenCount', 0)


ENDS = {'openai': {'end': 'stop', 'calls': 'tool_calls', 'length': 'length'}, 'anthropic': {'end': 'end_turn', 'calls': 'tool_use', 'length': 'max_tokens'},
        'openai-responses': {'end': 'completed', 'calls': 'completed', 'length': 'incomplete'}, 'gemini': {'end': 'STOP', 'calls': 'STOP', 'length': 'MAX_TOKENS'}}


def seen_text(up):
    return json.dumps(up.last().json, ensure_ascii=False)


@cases(*PAIRS)
def test_pair(case):
    _, client, upstream = case
    up = mock()
    gateway = Gateway(providers={'up': provider(up, upstream, retry={'attempts': 1})}, default_provider='up')
    for stream in (False, True):
        how = 'stream' if stream else 'plain'
        asks = Asks(client, 'model-x', stream)

        def answered(**more):
            answer = asks.ask(gateway, **more)
            eq(answer.status, 200, answer.text)
            out = asks.read(answer)
            assert PROMPT in seen_text(up), 'the prompt did not arrive'
            assert SYSTEM in seen_text(up), 'the system prompt did not arrive'
            eq(up.last().is_stream, stream, 'streamed upstream')
            return out
        with sub(f'text, {how}'):
            up.default = text(HELLO, usage=Usage(30, 12, 0, 9, 0))
            out = answered()
            eq(out['text'], HELLO)
            eq(out['finish'], ENDS[client]['end'])
            eq(asks.total(out['usage']), (42, 9), 'usage')
            eq(up.last().model, 'model-x')
        with sub(f'limits, {how}'):
            up.default = text('ok')
            answered(limits=True)
            assert '500' in seen_text(up) and '0.5' in seen_text(up), seen_text(up)
            if 'openai-responses' not in (client, upstream):
                assert 'END' in seen_text(up)
        with sub(f'length, {how}'):
            up.default = text('cut of', stop='length')
            out = answered()
            eq((out['text'], out['finish']), ('cut of', ENDS[client]['length']))
        with sub(f'image, {how}'):
            up.default = text('a pixel')
            answered(image=True)
            assert PNG in seen_text(up), 'the image did not arrive'
        with sub(f'tools, {how}'):
            up.default = text('I look. ') + calls(('call_1a', 'weather', '{"city": "Zürich \\"HB\\"", "days": 2}'), ('call_2b', 'clock', ''), ('call_3c', 'weather', '{"city":"Bern"}'))
            out = answered(tools=True)
            eq(out['text'], 'I look. ')
            eq(out['finish'], ENDS[client]['calls'])
            eq([[n, json.loads(a or '{}')] for _, n, a in out['calls']], [['weather', {'city': 'Zürich "HB"', 'days': 2}], ['clock', {}], ['weather', {'city': 'Bern'}]])
            assert all(i for i, _, _ in out['calls']) and len({i for i, _, _ in out['calls']}) == 3, 'ids'
            up.default = text('It is fine.')
            made = [[i, n, a or '{}'] for i, n, a in out['calls']]
            out = answered(tools=True, history=[(made, ['warm 21', '12:34', 'cold 3'])])
            eq(out['text'], 'It is fine.')
            for result in ('warm 21', '12:34', 'cold 3', 'Bern'):
                assert result in seen_text(up), f'{result} did not arrive'
            at = [seen_text(up).index(r) for r in ('warm 21', '12:34', 'cold 3')]
            eq(at, sorted(at), 'the order of results')
        with sub(f'two rounds of tools, {how}'):
            up.default = text('Done.')
            answered(tools=True, history=[([['call_r1', 'weather', '{"city":"A"}']], ['one']), ([['call_r2', 'weather', '{"city":"B"}'], ['call_r3', 'clock', '{"city":"C"}']], ['two', 'three'])])
        with sub(f'reasoning, {how}'):
            up.default = think('Let me think, 考え. ') + text('Thought.')
            out = answered(think=True)
            eq((out['thinking'], out['text']), ('Let me think, 考え. ', 'Thought.'))
        for status, kinds in ((400, (400,)), (404, (404,)), (429, (429,)), (500, (500,)), (529, (503, 529))):
            with sub(f'{status}, {how}'):
                other = Gateway(providers={'up': provider(up, upstream, retry={'attempts': 1})}, default_provider='up')
                up.default = Reply(status=status, message=f'said {status}')
                answer = asks.ask(other)
                assert answer.status in kinds, answer
                value = answer.json()
                assert f'said {status}' in value['error']['message'], value
                if client == 'gemini':
                    eq(value['error']['code'], answer.status)
                    assert value['error']['status'].isupper()
                other.process.terminate()
    with sub('a stream that breaks'):
        asks = Asks(client, 'model-x', True)
        up.default = Reply(turn=text('Some words before the end of it all'), cut=5)
        answer = asks.ask(gateway)
        eq(answer.status, 200)
        if client == 'gemini':
            tail = answer.body.replace(b'\r\n', b'\n').rsplit(b'\n\n', 1)[-1]
            assert json.loads(tail)['error']['code'] in (500, 502, 503), answer.body[-300:]
        else:
            last = json.loads(answer.events[-1][1])
            assert 'error' in last or last['type'] == 'response.failed', last
    with sub('an error inside a stream'):
        up.default = Reply(turn=text('Some words before the end of it all'), break_at=5, break_status=503, message='broke midway', pace=0.03)
        answer = Asks(client, 'model-x', True).ask(gateway)
        eq(answer.status, 200)
        assert b'broke midway' in answer.body, answer.body[-400:]
        assert b'[DONE]' not in answer.body and b'message_stop' not in answer.body and b'response.completed' not in answer.body


@cases(*KINDS)
def test_echo(client):
    """The embedded provider in every protocol."""
    gateway = Gateway(providers={'echo': {'kind': 'echo'}}, default_provider='echo')
    for stream in (False, True):
        with sub('stream' if stream else 'plain'):
            asks = Asks(client, 'm', stream)
            out = asks.read(asks.ask(gateway))
            eq(out['text'], PROMPT)
            body = json.loads(json.dumps(asks.body(tools=True)).replace(PROMPT, 'call weather {\\"city\\": \\"Bern\\"}'))
            out = asks.read(gateway.post(asks.path, body, asks.headers))
            eq([[n, json.loads(a)] for _, n, a in out['calls']], [['weather', {'city': 'Bern'}]])


def test_gemini_array():
    """Without alt=sse a stream is one JSON array, element by element."""
    for upstream in KINDS:
        with sub(upstream):
            up = mock()
            gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up')
            up.default = Reply(turn=text('In an array, element by element.'), pace=0.02)
            answer = gateway.post('/v1beta/models/m:streamGenerateContent', {'contents': [{'role': 'user', 'parts': [{'text': 'x'}]}]})
            eq((answer.status, answer.headers['content-type']), (200, 'application/json'))
            value = json.loads(answer.body)
            assert len(value) > 2, 'not element by element'
            eq(gemini_answer(value)['text'], 'In an array, element by element.')


def test_gemini_array_from_events():
    """A look-alike that sends events whatever was asked: the client still gets its array."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up, 'gemini')}, default_provider='up')
    chunk = b'{"candidates":[{"content":{"role":"model","parts":[{"text":"%s"}]}%s,"index":0}],"modelVersion":"m"}'
    up.default = Reply(events=[b'data: ' + chunk % (b'One ', b'') + b'\n\n', b'data: ' + chunk % (b'two', b',"finishReason":"STOP"') + b'\n\n'], headers={'content-type': 'text/event-stream'})
    answer = gateway.post('/v1beta/models/m:streamGenerateContent', {'contents': [{'role': 'user', 'parts': [{'text': 'x'}]}]})
    eq((answer.status, answer.headers['content-type']), (200, 'application/json'))
    eq(gemini_answer(answer.json())['text'], 'One two')


def test_gemini_paths():
    """Slashes and colons in ids, with and without models/, /v1 and /v1beta, escaped, the key in the query."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up, 'openai')}, default_provider='up', api_keys=['sk-SECRET'])
    body = {'contents': [{'parts': [{'text': 'x'}]}]}
    for path, model in (('/v1beta/models/gem:generateContent', 'gem'), ('/v1/models/gem:generateContent', 'gem'), ('/v1beta/models/org/gem:generateContent', 'org/gem'), ('/v1beta/org/gem:generateContent', 'org/gem'), ('/v1beta/models/org%2Fgem:generateContent', 'org/gem'),
                        ('/v1beta/models/org/gem:free:generateContent', 'org/gem:free'), ('/v1beta/models/gem%3AgenerateContent', 'gem'), ('/up/v1beta/models/gem:generateContent', 'gem')):
        with sub(path):
            for query, headers in (('?key=sk-SECRET', []), ('', [('x-goog-api-key', 'sk-SECRET')])):
                answer = gateway.post(path + query, body, headers)
                eq(answer.status, 200, answer.text)
                eq(up.last().model, model)
                assert 'key=' not in up.last().path
    answer = gateway.post('/v1beta/models/gem:generateContent', body)
    eq((answer.status, answer.json()['error']['status']), (401, 'UNAUTHENTICATED'))
    value = gateway.get('/v1beta/models', [('x-goog-api-key', 'sk-SECRET')])
    eq(value.status, 200, value.text)
    assert 'models' in value.json()

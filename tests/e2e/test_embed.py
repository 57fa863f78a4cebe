"""Embeddings in OpenAI's and Gemini's words, to upstreams of either kind."""
import base64
import json
import struct

from harness import UP_KEY, Gateway, Reply, Skip, cases, eq, limit, mock
from mock import openai_chat

OPENAI = {'object': 'list', 'data': [{'object': 'embedding', 'index': 1, 'embedding': [3.5, -4]}, {'object': 'embedding', 'index': 0, 'embedding': [0.25, 1e-3]}],
          'model': 'up', 'usage': {'prompt_tokens': 5, 'total_tokens': 5}}
GEMINI = {'embeddings': [{'values': [0.25, 1e-3]}, {'values': [3.5, -4]}]}


def upstream(answer):
    """Any path, any body: always this answer."""
    up = mock()

    async def exchange(link, reader, writer, request):
        await up._read_body(reader, request)
        up._notify()
        return await up._play(link, writer, request, up.default, openai_chat)
    up._exchange = exchange
    up.default = Reply(body=answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    return up


def gateway(up, kind, **more):
    url = up.openai if kind == 'openai' else up.openai.removesuffix('/v1')
    return Gateway(providers={'up': {'kind': kind, 'base_url': url, 'keys': [UP_KEY]}}, default_provider='up', **more)


def content(text):
    return {'content': {'parts': [{'text': text}]}}


def test_gemini_client_openai_upstream():
    up = upstream(OPENAI)
    gw = gateway(up, 'openai')
    batch = {'requests': [{'model': 'models/emb', **content('one'), 'taskType': 'CLUSTERING', 'outputDimensionality': 2}, {**content('two'), 'outputDimensionality': 2}]}
    answer = gw.post('/v1beta/models/emb:batchEmbedContents', batch)
    eq(answer.status, 200, answer.text)
    eq(answer.json(), GEMINI)
    eq(answer.headers.get('x-ring2api-dropped'), 'taskType')
    request = up.seen[-1]
    eq(request.path, '/v1/embeddings')
    eq(request.headers['authorization'], 'Bearer ' + UP_KEY)
    eq(request.json, {'model': 'emb', 'input': ['one', 'two'], 'encoding_format': 'float', 'dimensions': 2})
    up.default = Reply(body=json.dumps({'data': [{'embedding': [1, 2]}]}).encode())
    answer = gw.post('/v1beta/models/emb:embedContent', content('one'))
    eq(answer.json(), {'embedding': {'values': [1, 2]}})
    eq(answer.headers.get('x-ring2api-estimate'), '1')
    eq(up.connections, 1, 'the connection is used again')
    line = gw.line(count=2)
    eq((line['status'], line['client'] if 'client' in line else 'gemini'), ('200', 'gemini'))


def test_gemini_client_responses_upstream():
    """An upstream that is asked by Responses has the same embeddings."""
    up = upstream(OPENAI)
    gw = Gateway(providers={'up': {'kind': 'openai-responses', 'base_url': up.openai, 'keys': [UP_KEY]}}, default_provider='up')
    eq(gw.post('/v1beta/models/emb:batchEmbedContents', {'requests': [content('one'), content('two')]}).json(), GEMINI)
    eq(up.seen[-1].path, '/v1/embeddings')
    eq(gw.post('/v1/embeddings', {'model': 'emb', 'input': 'x'}).json(), OPENAI)
    eq([r.path for r in up.seen], ['/v1/embeddings'] * 2)


def test_openai_client_gemini_upstream():
    up = upstream(GEMINI)
    gw = gateway(up, 'gemini')
    answer = gw.post('/v1/embeddings', {'model': 'emb', 'input': ['one', 'two'], 'dimensions': 2, 'user': 'u'})
    eq(answer.status, 200, answer.text)
    eq(answer.json()['data'], [{'object': 'embedding', 'index': 0, 'embedding': [0.25, 1e-3]}, {'object': 'embedding', 'index': 1, 'embedding': [3.5, -4]}])
    eq((answer.json()['object'], answer.json()['model'], answer.json()['usage']), ('list', 'emb', {'prompt_tokens': 2, 'total_tokens': 2}))
    eq(answer.headers.get('x-ring2api-dropped'), 'user')
    request = up.seen[-1]
    eq(request.path, '/v1beta/models/emb:batchEmbedContents')
    eq(request.headers['x-goog-api-key'], UP_KEY)
    eq(request.json, {'requests': [{'model': 'models/emb', **content(t), 'outputDimensionality': 2} for t in ('one', 'two')]})
    # what the official SDKs ask for
    answer = gw.post('/v1/embeddings', {'model': 'emb', 'input': ['one', 'two'], 'encoding_format': 'base64'})
    got = [struct.unpack('<2f', base64.b64decode(item['embedding'])) for item in answer.json()['data']]
    eq(got, [struct.unpack('<2f', struct.pack('<2f', 0.25, 1e-3)), (3.5, -4.0)])


def test_same_api_keeps_the_bytes():
    raw = b'{"embeddings" : [ {"values":[1.0]} ],"later":{}}'
    up = upstream(raw)
    gw = gateway(up, 'gemini', routes=[{'model': 'alias', 'to': 'up/emb'}])
    body = b'{ "content" : {"parts":[{"text":"a"}]}, "model":"models/emb", "unknown":1 }'
    answer = gw.post('/v1beta/models/emb:embedContent', body)
    eq((answer.status, answer.body), (200, raw))
    eq((up.seen[-1].path, up.seen[-1].body), ('/v1beta/models/emb:embedContent', body))
    eq(gw.post('/v1beta/models/alias:batchEmbedContents', b'{"requests":[ {"model":"models/alias"} ]}').status, 200)
    eq((up.seen[-1].path, up.seen[-1].body), ('/v1beta/models/emb:batchEmbedContents', b'{"requests":[ {"model":"models/emb"} ]}'))


def test_openai_beside_a_gemini_provider_keeps_the_bytes():
    """With a Gemini provider configured the body is gathered: still byte for byte, and the answer still flows."""
    raw = b'{"object" : "list","data":[],"x":1}'
    up = upstream(raw)
    gw = Gateway(providers={'up': {'kind': 'openai', 'base_url': up.openai, 'keys': [UP_KEY]},
                            'g': {'kind': 'gemini', 'base_url': up.openai.removesuffix('/v1'), 'keys': [UP_KEY]}}, default_provider='up')
    body = b'{ "input":[1,2,3], "model":"emb" , "pad":"' + b'x' * 40000 + b'"}'
    answer = gw.post('/v1/embeddings', body)
    eq((answer.status, answer.body), (200, raw))
    eq((up.seen[-1].path, up.seen[-1].body), ('/v1/embeddings', body))
    eq(gw.post('/v1/embeddings', {'model': 'g/emb', 'input': [[1, 2]]}).status, 400)


def test_what_cannot_be_said_is_refused():
    up = upstream(GEMINI)
    gw = gateway(up, 'gemini')
    for members, param in (({'input': [1, 2]}, 'input[0]'), ({}, 'input'), ({'input': 'a', 'dimensions': -1}, 'dimensions'),
                           ({'input': 'a', 'encoding_format': 'x'}, 'encoding_format')):
        answer = gw.post('/v1/embeddings', {'model': 'emb', **members})
        eq((answer.status, answer.json()['error']['param']), (400, param))
    eq(gw.post('/v1/embeddings', b'{"model":"emb","input":').status, 400)
    eq(up.seen, [])
    gw2 = gateway(up, 'gemini', strict=True)
    answer = gw2.post('/v1/embeddings', {'model': 'emb', 'input': 'a', 'user': 'u'})
    eq(answer.status, 400)
    assert 'user' in answer.json()['error']['message'], answer.text


def test_bad_answers_and_errors():
    up = upstream({'embeddings': [{'values': [1]}]})
    gw = gateway(up, 'gemini', retry={'attempts': 1})
    answer = gw.post('/v1/embeddings', {'model': 'emb', 'input': ['one', 'two']})
    eq((answer.status, answer.json()['error']['code']), (502, 'bad_gateway'), 'a vector is missing')
    up.default = Reply(status=400, body=b'{"error":{"code":400,"message":"too long","status":"INVALID_ARGUMENT"}}')
    answer = gw.post('/v1/embeddings', {'model': 'emb', 'input': ['one', 'two']})
    eq((answer.status, answer.json()['error']['message']), (400, 'too long'))
    up.default = Reply(body=b'{"embeddings":[{"values":[1,2', cut=20)
    eq(gw.post('/v1/embeddings', {'model': 'emb', 'input': 'one'}).status, 502)


def test_no_such_route():
    """Providers without an embedding API: a 404 of the client's protocol."""
    up = upstream({})
    gw = Gateway(providers={'a': {'kind': 'anthropic', 'base_url': up.anthropic, 'keys': [UP_KEY]}, 'echo': {'kind': 'echo'}}, default_provider='a')
    for model in ('claude', 'echo/echo'):
        eq(gw.post(f'/v1beta/models/{model}:embedContent', content('a')).status, 404)
        eq(gw.post('/v1/embeddings', {'model': model, 'input': 'a'}).status, 404)
    eq(up.seen, [])


@limit(60)
@cases('openai', 'gemini')
def test_official_clients(kind):
    """The Python clients of both vendors, in front of either upstream."""
    try:
        import openai
        from google import genai
    except ImportError as error:
        raise Skip(f'{error.name} is not installed') from None
    up = upstream(OPENAI if kind == 'openai' else GEMINI)
    gw = gateway(up, kind)
    client = openai.OpenAI(base_url=gw.url + '/v1', api_key='x')
    if kind == 'gemini':  # asks for base64, which an OpenAI upstream would be trusted to send
        got = client.embeddings.create(model='emb', input=['one', 'two'], dimensions=2)
        eq([list(item.embedding) for item in got.data], [list(struct.unpack('<2f', struct.pack('<2f', 0.25, 1e-3))), [3.5, -4.0]])
        eq(got.usage.prompt_tokens, 2)
    got = client.embeddings.create(model='emb', input=['one', 'two'], encoding_format='float')
    eq(sorted(list(item.embedding) for item in got.data), [[0.25, 1e-3], [3.5, -4.0]])
    google = genai.Client(api_key='x', http_options={'base_url': gw.url})
    got = google.models.embed_content(model='emb', contents=['one', 'two'], config={'output_dimensionality': 2, 'task_type': 'CLUSTERING'})
    eq([item.values for item in got.embeddings], [[0.25, 1e-3], [3.5, -4.0]])

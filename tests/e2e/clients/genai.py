"""Runs Google's official Python client, as genai.mjs does the Node one: perform(case) gives what a line of it would."""
import json

from google import genai
from google.genai import errors, types


def parts(chunk):
    candidates = chunk.candidates or []
    return (candidates[0].content.parts or []) if candidates and candidates[0].content else []


def of(chunks):
    every = [p for c in chunks for p in parts(c)]
    last = chunks[-1] if chunks else None
    usage = last.usage_metadata if last else None
    return {'text': ''.join(p.text or '' for p in every if not p.thought), 'thinking': ''.join(p.text or '' for p in every if p.thought),
            'calls': [[p.function_call.id or '', p.function_call.name, p.function_call.args or {}] for p in every if p.function_call],
            'finish': [c.candidates[0].finish_reason.value for c in chunks if c.candidates and c.candidates[0].finish_reason],
            'usage': usage and {'in': usage.prompt_token_count or 0, 'out': (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)},
            'model': (last.model_version or '') if last else '', 'chunks': len(chunks),
            'content': {'role': 'model', 'parts': [p.model_dump(mode='json', exclude_none=True, by_alias=True) for p in every if p.text != '' or p.thought_signature]}}


def run(one):
    client = genai.Client(api_key=one['key'], http_options=types.HttpOptions(base_url=one['url']))
    params = {'model': one['model'], 'contents': one.get('contents'), 'config': one.get('config')}
    if one['mode'] == 'plain':
        return of([client.models.generate_content(**params)])
    if one['mode'] == 'count':
        return {'tokens': client.models.count_tokens(model=one['model'], contents=one['contents']).total_tokens}
    if one['mode'] == 'models':
        return {'names': [m.name for m in client.models.list()]}
    if one['mode'] == 'chat':
        chat = client.chats.create(model=one['model'], config=one.get('config'))
        first = chat.send_message(one['contents'])
        return {**of([chat.send_message('and then?')]), 'first': of([first])}
    chunks = []
    try:
        for chunk in client.models.generate_content_stream(**params):
            chunks.append(chunk)
    except errors.APIError as error:
        return {**of(chunks), 'error': {'status': error.code, 'message': str(error)}}
    return of(chunks)


def perform(case):
    try:
        out = run(case)
    except errors.APIError as error:
        out = {'error': {'status': error.code, 'message': str(error)}}
    except Exception as error:
        out = {'error': {'status': -1, 'message': f'{type(error).__name__}: {error}'}}
    return json.loads(json.dumps(out))

"""Runs the official Python clients, as sdk.mjs does the Node ones: perform(case) gives what a line of it would."""
import copy
import json

import anthropic
import openai


def of_chat(choice, usage):
    message = choice.message
    return {'text': message.content or '', 'thinking': getattr(message, 'reasoning_content', None) or '',
            'calls': [[c.id, c.function.name, json.loads(c.function.arguments or '{}')] for c in message.tool_calls or []], 'finish': choice.finish_reason,
            'usage': usage and {'in': usage.prompt_tokens, 'out': usage.completion_tokens,
                                'cached': (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0,
                                'reasoning': (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0},
            'message': {'role': 'assistant', 'content': message.content, 'tool_calls': [
                {'id': c.id, 'type': 'function', 'function': {'name': c.function.name, 'arguments': c.function.arguments}} for c in message.tool_calls or []]}}


def of_message(m):
    first = {b.type: b for b in reversed(m.content)}
    return {'text': ''.join(b.text for b in m.content if b.type == 'text'), 'thinking': ''.join(b.thinking for b in m.content if b.type == 'thinking'),
            'signature': first['thinking'].signature if 'thinking' in first else None, 'redacted': first['redacted_thinking'].data if 'redacted_thinking' in first else None,
            'blocks': [b.type for b in m.content], 'calls': [[b.id, b.name, b.input] for b in m.content if b.type == 'tool_use'], 'finish': m.stop_reason,
            'sequence': m.stop_sequence, 'model': m.model,
            'usage': {'in': m.usage.input_tokens, 'out': m.usage.output_tokens, 'cached': m.usage.cache_read_input_tokens or 0, 'written': m.usage.cache_creation_input_tokens or 0},
            'message': [{k: v for k, v in b.model_dump().items() if k in ('type', 'text', 'thinking', 'signature', 'data', 'id', 'name', 'input')} for b in m.content]}


def chat(client, one, params):
    mode = one['mode']
    if mode == 'plain':
        raw = client.chat.completions.with_raw_response.create(**params)
        data = raw.parse()
        return {**of_chat(data.choices[0], data.usage), 'model': data.model, 'header': raw.headers.get('x-request-id'), 'dropped': raw.headers.get('x-ring2api-dropped')}
    if mode == 'parse':
        params = dict(params)
        from pydantic import create_model
        fields = {n: ({'string': str, 'integer': int}[p['type']], ...) for n, p in params.pop('response_format')['json_schema']['schema']['properties'].items()}
        data = client.chat.completions.parse(response_format=create_model('answer', **fields), **params)
        return {**of_chat(data.choices[0], data.usage), 'model': data.model, 'parsed': data.choices[0].message.parsed.model_dump()}
    if mode == 'helper':
        text = ''
        with client.chat.completions.stream(**params) as stream:
            for event in stream:
                if event.type == 'content.delta':
                    text += event.delta
            data = stream.get_final_completion()
        assert text == (data.choices[0].message.content or ''), 'content events differ from the message'
        return {**of_chat(data.choices[0], data.usage), 'model': data.model}
    more = {} if one.get('usage') is False else {'stream_options': {'include_usage': True}}
    out = {'text': '', 'thinking': '', 'calls': [], 'finish': None, 'usage': None, 'chunks': 0}
    made = {}
    for chunk in client.chat.completions.create(stream=True, **more, **params):
        out['chunks'] += 1
        out['model'] = chunk.model
        usage = chunk.usage
        if usage:
            out['usage'] = {'in': usage.prompt_tokens, 'out': usage.completion_tokens, 'cached': (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0,
                            'reasoning': (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0}
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        out['text'] += choice.delta.content or ''
        out['thinking'] += getattr(choice.delta, 'reasoning_content', None) or ''
        for part in choice.delta.tool_calls or []:
            if part.index not in made:
                made[part.index] = [part.id, part.function.name, '']
            made[part.index][2] += part.function.arguments or ''
        out['finish'] = choice.finish_reason or out['finish']
    out['calls'] = [[i, n, json.loads(a or '{}')] for i, n, a in made.values()]
    out['message'] = {'role': 'assistant', 'content': out['text'] or None, 'tool_calls': [{'id': i, 'type': 'function', 'function': {'name': n, 'arguments': a}} for i, n, a in made.values()]}
    return out


def messages(client, one, params):
    mode = one['mode']
    if mode == 'plain':
        raw = client.messages.with_raw_response.create(**params)
        return {**of_message(raw.parse()), 'header': raw.headers.get('request-id'), 'dropped': raw.headers.get('x-ring2api-dropped')}
    if mode == 'parse':
        data = client.messages.create(**params)
        return {**of_message(data), 'parsed': json.loads(of_message(data)['text'])}
    if mode == 'helper':
        text = ''
        with client.messages.stream(**params) as stream:
            for piece in stream.text_stream:
                text += piece
            data = stream.get_final_message()
        assert text == of_message(data)['text'], 'text events differ from the message'
        return of_message(data)
    out = None
    for event in client.messages.create(stream=True, **params):
        if event.type == 'message_start':
            out = {'blocks': [], 'texts': {}, 'calls': [], 'model': event.message.model, 'signature': None, 'redacted': None, 'message': []}
        elif event.type == 'content_block_start':
            assert event.index == len(out['message'])
            block = {k: v for k, v in event.content_block.model_dump().items() if k in ('type', 'text', 'thinking', 'signature', 'data', 'id', 'name', 'input')}
            out['message'].append(block)
            out['json'] = ''
        elif event.type == 'content_block_delta':
            block, delta = out['message'][event.index], event.delta
            if delta.type == 'text_delta':
                block['text'] += delta.text
            elif delta.type == 'thinking_delta':
                block['thinking'] += delta.thinking
            elif delta.type == 'signature_delta':
                block['signature'] = delta.signature
            elif delta.type == 'input_json_delta':
                out['json'] += delta.partial_json
        elif event.type == 'content_block_stop':
            if out['message'][event.index]['type'] == 'tool_use':
                out['message'][event.index]['input'] = json.loads(out['json'] or '{}')
        elif event.type == 'message_delta':
            out['finish'], out['sequence'], out['usage'] = event.delta.stop_reason, event.delta.stop_sequence, event.usage
        elif event.type == 'message_stop':
            out['stopped'] = True
    assert out and out.get('stopped'), 'no message_stop'
    blocks = out['message']
    usage = out['usage']
    out.update(text=''.join(b['text'] for b in blocks if b['type'] == 'text'), thinking=''.join(b['thinking'] for b in blocks if b['type'] == 'thinking'),
               signature=next((b['signature'] for b in blocks if b['type'] == 'thinking'), None), redacted=next((b['data'] for b in blocks if b['type'] == 'redacted_thinking'), None),
               blocks=[b['type'] for b in blocks], calls=[[b['id'], b['name'], b['input']] for b in blocks if b['type'] == 'tool_use'],
               usage={'in': usage.input_tokens, 'out': usage.output_tokens, 'cached': usage.cache_read_input_tokens or 0, 'written': usage.cache_creation_input_tokens or 0})
    return out


def bare(value):
    """Without what the helpers add."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if k not in ('parsed', 'parsed_arguments')}
    return [bare(v) for v in value] if isinstance(value, list) else value


def of_response(r):
    return {'text': r.output_text, 'thinking': ''.join(s.text for i in r.output if i.type == 'reasoning' for s in i.summary), 'encrypted': next((i.encrypted_content for i in r.output if i.type == 'reasoning'), None),
            'calls': [[i.call_id, i.name, json.loads(i.arguments)] for i in r.output if i.type == 'function_call'], 'finish': r.status, 'model': r.model,
            'usage': r.usage and {'in': r.usage.input_tokens, 'out': r.usage.output_tokens, 'cached': r.usage.input_tokens_details.cached_tokens or 0, 'reasoning': r.usage.output_tokens_details.reasoning_tokens or 0},
            'output': [bare(i.to_dict()) for i in r.output]}


def responses(client, one, params):
    mode = one['mode']
    if mode in ('plain', 'parse'):
        data = client.responses.create(**params)
        return {**of_response(data), **({'parsed': json.loads(data.output_text)} if mode == 'parse' else {})}
    if mode == 'helper':
        text = ''
        with client.responses.stream(**params) as stream:
            for event in stream:
                if event.type == 'response.output_text.delta':
                    text += event.delta
            data = stream.get_final_response()
        assert text == data.output_text, 'text events differ from the response'
        return of_response(data)
    text, last, number = '', None, 0
    for event in client.responses.create(stream=True, **params):
        assert event.sequence_number == number, 'sequence_number'
        number += 1
        if event.type == 'response.output_text.delta':
            text += event.delta
        last = getattr(event, 'response', None) or last
        assert event.type not in ('response.failed', 'error'), f'failed: {event}'
    assert text == last.output_text, 'deltas differ from the response'
    return {**of_response(last), 'chunks': number}


def follow_up(one, first):
    params = copy.deepcopy(one['params'])
    if one['api'] == 'responses':
        params['input'] += first['output'] + [{'type': 'function_call_output', 'call_id': i, 'output': one['results'][n]} for i, n, _ in first['calls']]
    elif one['api'] == 'openai':
        params['messages'].append(first['message'])
        params['messages'] += [{'role': 'tool', 'tool_call_id': i, 'content': one['results'][n]} for i, n, _ in first['calls']]
    else:
        params['messages'].append({'role': 'assistant', 'content': first['message']})
        params['messages'].append({'role': 'user', 'content': [{'type': 'tool_result', 'tool_use_id': i, 'content': one['results'][n]} for i, n, _ in first['calls']]})
    return params


clients = {}


def perform(one):
    out = {'name': one['name']}
    options = {'base_url': one['base'], 'api_key': one['key'], 'max_retries': one.get('retries', 0), 'timeout': 20, 'default_headers': one.get('headers') or {}}
    try:
        ask = {'openai': chat, 'responses': responses, 'anthropic': messages}[one['api']]
        which = json.dumps([one['api'], options])
        client = clients.get(which)
        if client is None:  # as users do: one client, its connections kept
            client = clients[which] = anthropic.Anthropic(**options) if one['api'] == 'anthropic' else openai.OpenAI(**options)
        if one['mode'] == 'models':
            out['models'] = [m.id for m in client.models.list()]
        elif one['mode'] == 'count':
            out['count'] = client.messages.count_tokens(**one['params']).input_tokens
        else:
            out['first'] = ask(client, one, one['params'])
            if one.get('results'):
                out['second'] = ask(client, one, follow_up(one, out['first']))
    except (openai.APIError, anthropic.APIError) as e:
        body = e.body if isinstance(e.body, dict) else {}
        inner = body.get('error', body) if isinstance(body.get('error', body), dict) else {}
        response = getattr(e, 'response', None)
        out['error'] = {'class': type(e).__name__, 'status': getattr(e, 'status_code', None), 'type': inner.get('type'), 'code': inner.get('code'), 'message': str(e),
                        'id': getattr(e, 'request_id', None), 'retry': response.headers.get('retry-after') if response is not None else None}
    except Exception as e:
        import traceback
        out['error'] = {'class': type(e).__name__, 'status': None, 'type': None, 'message': str(e), 'stack': traceback.format_exc()}
    return out

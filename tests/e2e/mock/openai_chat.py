"""OpenAI Chat Completions, as its server behaves."""
import json

from .rules import ID, NAME_64, Bad, base64_text, is_int, known, need, one_of, typed

NAME = 'openai'
PATHS = ('/chat/completions', '/v1/chat/completions')

TOP = set('''model messages stream stream_options temperature top_p n max_completion_tokens max_tokens stop frequency_penalty
presence_penalty logit_bias logprobs top_logprobs seed response_format tools tool_choice parallel_tool_calls reasoning_effort
verbosity modalities audio prediction web_search_options service_tier store metadata user safety_identifier prompt_cache_key
prompt_cache_retention prompt_cache_options moderation functions function_call'''.split())


def check_headers(headers):
    if not headers.get('authorization', '').startswith('Bearer '):
        raise Bad('', 'You didn\'t provide an API key.', None, 401)
    need(headers.get('content-type', '').split(';')[0].strip() == 'application/json', '', 'content-type must be application/json')
    for name in headers:
        need(not name.startswith('anthropic-') and name not in ('x-api-key', 'x-goog-api-key'), name, 'foreign header')


def text_parts(value, where, kinds=('text',)):
    typed(value, where, 'list')
    need(value, where, 'empty array', 'invalid_value')
    for i, part in enumerate(value):
        at = f'{where}[{i}]'
        need(isinstance(part, dict) and 'type' in part, at, 'a part needs a type', 'invalid_type')
        one_of(part['type'], f'{at}.type', kinds)
        if part['type'] == 'text':
            known(part, at, {'type', 'text', 'prompt_cache_breakpoint'})
            typed(part.get('text'), f'{at}.text', 'str')
        elif part['type'] == 'refusal':
            known(part, at, {'type', 'refusal'})
            typed(part.get('refusal'), f'{at}.refusal', 'str')
        elif part['type'] == 'image_url':
            known(part, at, {'type', 'image_url', 'prompt_cache_breakpoint'})
            image = known(part.get('image_url'), f'{at}.image_url', {'url', 'detail'})
            typed(image.get('url'), f'{at}.image_url.url', 'str')
            one_of(image.get('detail', 'auto'), f'{at}.image_url.detail', ('auto', 'low', 'high'))
            url = image['url']
            if url.startswith('data:'):
                head, _, data = url[5:].partition(',')
                need(head in ('image/png;base64', 'image/jpeg;base64', 'image/gif;base64', 'image/webp;base64'), at, f'bad data URL {head}', 'invalid_image')
                base64_text(data, f'{at}.image_url.url')
            else:
                need(url.startswith(('http://', 'https://')), at, 'neither http nor data URL', 'invalid_image')
        elif part['type'] == 'input_audio':
            known(part, at, {'type', 'input_audio', 'prompt_cache_breakpoint'})
            audio = known(part.get('input_audio'), f'{at}.input_audio', {'data', 'format'})
            base64_text(audio.get('data'), at)
            one_of(audio.get('format'), at, ('wav', 'mp3'))
        elif part['type'] == 'file':
            known(part, at, {'type', 'file', 'prompt_cache_breakpoint'})
            file = known(part.get('file'), f'{at}.file', {'filename', 'file_data', 'file_id'})
            need(('file_data' in file) != ('file_id' in file), at, 'either file_data or file_id')
            if 'file_data' in file:
                need(file['file_data'].startswith('data:') and ';base64,' in file['file_data'], at, 'file_data must be a data URL')
                need('filename' in file, at, 'file_data needs a filename', 'missing_required_parameter')


def tool_call(value, where):
    need(isinstance(value, dict), where, 'not an object', 'invalid_type')
    typed(value.get('id'), f'{where}.id', 'str')
    need(0 < len(value['id']) <= 40, f'{where}.id', 'string too long: at most 40', 'string_above_max_length')
    one_of(value.get('type'), f'{where}.type', ('function', 'custom'))
    if value['type'] == 'function':
        known(value, where, {'id', 'type', 'function', 'extra_content'})
        function = known(value.get('function'), f'{where}.function', {'name', 'arguments'})
        typed(function.get('arguments'), f'{where}.function.arguments', 'str')
        name = function.get('name')
    else:
        known(value, where, {'id', 'type', 'custom'})
        custom = known(value.get('custom'), f'{where}.custom', {'name', 'input'})
        typed(custom.get('input'), f'{where}.custom.input', 'str')
        name = custom.get('name')
    typed(name, f'{where}.name', 'str')
    need(NAME_64.match(name), f'{where}.name', f'{name!r} does not match [A-Za-z0-9_-]{{1,64}}', 'invalid_value')
    return value['id']


def messages(value):
    typed(value, 'messages', 'list')
    need(value, 'messages', 'empty array', 'invalid_value')
    open_calls, answered = [], set()
    for i, message in enumerate(value):
        at = f'messages[{i}]'
        need(isinstance(message, dict), at, 'not an object', 'invalid_type')
        role = message.get('role')
        one_of(role, f'{at}.role', ('developer', 'system', 'user', 'assistant', 'tool', 'function'))
        content = message.get('content')
        missing = [c for c in open_calls if c not in answered]
        if role != 'tool' and missing:
            raise Bad(at, "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. missing: " + ', '.join(missing))
        if role in ('developer', 'system'):
            known(message, at, {'role', 'content', 'name'})
            if not isinstance(content, str):
                text_parts(content, f'{at}.content')
        elif role == 'user':
            known(message, at, {'role', 'content', 'name'})
            if not isinstance(content, str):
                text_parts(content, f'{at}.content', ('text', 'image_url', 'input_audio', 'file'))
        elif role == 'assistant':
            known(message, at, {'role', 'content', 'refusal', 'name', 'tool_calls', 'audio', 'function_call', 'annotations', 'reasoning_content'})
            need(content is not None or message.get('tool_calls') or message.get('refusal') or message.get('function_call'), f'{at}.content', 'missing', 'missing_required_parameter')
            if content is not None and not isinstance(content, str):
                text_parts(content, f'{at}.content', ('text', 'refusal'))
            if 'tool_calls' in message:
                typed(message['tool_calls'], f'{at}.tool_calls', 'list')
                need(message['tool_calls'], f'{at}.tool_calls', 'empty array', 'invalid_value')
                open_calls = [tool_call(c, f'{at}.tool_calls[{k}]') for k, c in enumerate(message['tool_calls'])]
                answered = set()
                need(len(set(open_calls)) == len(open_calls), at, 'duplicate tool call ids')
                continue
        elif role == 'tool':
            known(message, at, {'role', 'content', 'tool_call_id', 'name'})  # LangChain names the tool, and is let
            typed(message.get('tool_call_id'), f'{at}.tool_call_id', 'str')
            need(message['tool_call_id'] in open_calls, at, "messages with role 'tool' must be a response to a preceding message with 'tool_calls'")
            need(message['tool_call_id'] not in answered, at, 'a second answer to one call')
            answered.add(message['tool_call_id'])
            if not isinstance(content, str):
                text_parts(content, f'{at}.content')
            continue
        open_calls, answered = [], set()
    missing = [c for c in open_calls if c not in answered]
    need(not missing, 'messages', 'tool calls without an answer at the end')


def tools(body):
    declared = body.get('tools')
    if declared is None:
        for name in ('tool_choice', 'parallel_tool_calls'):
            need(name not in body, name, f'{name} is only allowed when tools are specified')
        return
    typed(declared, 'tools', 'list')
    need(declared, 'tools', 'empty array: at least 1', 'empty_array')
    names = set()
    for i, tool in enumerate(declared):
        at = f'tools[{i}]'
        one_of(isinstance(tool, dict) and tool.get('type'), f'{at}.type', ('function', 'custom'))
        known(tool, at, {'type', tool['type']})
        if tool['type'] == 'function':
            function = known(tool.get('function'), f'{at}.function', {'name', 'description', 'parameters', 'strict'})
            if 'parameters' in function:
                typed(function['parameters'], f'{at}.function.parameters', 'object')
                need(function['parameters'].get('type') == 'object', f'{at}.function.parameters', 'schema must be of type object', 'invalid_function_parameters')
            if function.get('strict'):
                strict_schema(function.get('parameters', {}), f'{at}.function.parameters')
            typed(function.get('description', ''), f'{at}.function.description', 'str')
        else:
            function = known(tool.get('custom'), f'{at}.custom', {'name', 'description', 'format'})
        typed(function.get('name'), f'{at}.name', 'str')
        need(NAME_64.match(function['name']), f'{at}.name', 'does not match [A-Za-z0-9_-]{1,64}', 'invalid_value')
        names.add(function['name'])
    choice = body.get('tool_choice', 'auto')
    if isinstance(choice, str):
        one_of(choice, 'tool_choice', ('none', 'auto', 'required'))
    else:
        one_of(choice.get('type'), 'tool_choice.type', ('function', 'custom', 'allowed_tools'))
        known(choice, 'tool_choice', {'type', choice['type']})
        if choice['type'] != 'allowed_tools':
            need(choice[choice['type']].get('name') in names, 'tool_choice', 'names no declared tool')
    if 'parallel_tool_calls' in body:
        typed(body['parallel_tool_calls'], 'parallel_tool_calls', 'bool')


def strict_schema(schema, where):
    """With strict, objects name all their properties as required and close themselves."""
    if not isinstance(schema, dict):
        return
    if schema.get('type') == 'object' or 'properties' in schema:
        need(schema.get('additionalProperties') is False, where, "'additionalProperties' is required to be supplied and to be false", 'invalid_json_schema')
        need(set(schema.get('required', [])) == set(schema.get('properties', {})), where, "'required' is required to be an array including every key in properties", 'invalid_json_schema')
    for name, inner in schema.get('properties', {}).items():
        strict_schema(inner, f'{where}.properties.{name}')
    if isinstance(schema.get('items'), dict):
        strict_schema(schema['items'], f'{where}.items')
    for inner in schema.get('anyOf', []):
        strict_schema(inner, f'{where}.anyOf')


def response_format(value):
    if value is None:
        return
    one_of(isinstance(value, dict) and value.get('type'), 'response_format.type', ('text', 'json_object', 'json_schema'))
    if value['type'] != 'json_schema':
        known(value, 'response_format', {'type'})
        return
    known(value, 'response_format', {'type', 'json_schema'})
    inner = known(value.get('json_schema'), 'response_format.json_schema', {'name', 'description', 'schema', 'strict'})
    typed(inner.get('name'), 'response_format.json_schema.name', 'str')
    need(NAME_64.match(inner['name']), 'response_format.json_schema.name', 'bad name', 'invalid_value')
    if inner.get('strict'):
        strict_schema(inner.get('schema', {}), 'response_format.json_schema.schema')


def validate(request):
    check_headers(request.headers)
    body = request.json
    known(body, '', TOP)
    typed(body.get('model'), 'model', 'str')
    need(body['model'], 'model', 'empty')
    messages(body.get('messages'))
    tools(body)
    response_format(body.get('response_format'))
    for name, kind, low, high in (('stream', 'bool', None, None), ('temperature', 'number', 0, 2), ('top_p', 'number', 0, 1), ('n', 'int', 1, 128),
                                  ('max_completion_tokens', 'int', 1, None), ('max_tokens', 'int', 1, None), ('frequency_penalty', 'number', -2, 2),
                                  ('presence_penalty', 'number', -2, 2), ('logit_bias', 'object', None, None), ('logprobs', 'bool', None, None),
                                  ('top_logprobs', 'int', 0, 20), ('seed', 'int', None, None), ('store', 'bool', None, None), ('metadata', 'object', None, None)):
        if name in body:
            typed(body[name], name, kind, low, high, null=True)
    need(not (body.get('max_tokens') is not None and body.get('max_completion_tokens') is not None), 'max_tokens',
         'setting max_tokens and max_completion_tokens at the same time is not supported')
    if body['model'].startswith(('o1', 'o3', 'o4', 'gpt-5')):
        need('max_tokens' not in body, 'max_tokens', "use 'max_completion_tokens' instead", 'unsupported_parameter')
        need(body.get('temperature', 1) == 1, 'temperature', 'only the default (1) is supported', 'unsupported_value')
    if 'stream_options' in body and body['stream_options'] is not None:
        need(body.get('stream') is True, 'stream_options', "only allowed when 'stream' is enabled")
        known(body['stream_options'], 'stream_options', {'include_usage', 'include_obfuscation'})
    if body.get('top_logprobs') is not None:
        need(body.get('logprobs') is True, 'top_logprobs', 'needs logprobs')
    stop = body.get('stop')
    if stop is not None and not isinstance(stop, str):
        typed(stop, 'stop', 'list')
        need(1 <= len(stop) <= 4, 'stop', 'one to four strings', 'invalid_value')
        for s in stop:
            typed(s, 'stop', 'str')
    if 'metadata' in body and body['metadata'] is not None:
        need(len(body['metadata']) <= 16, 'metadata', 'at most 16 pairs')
        for key, value in body['metadata'].items():
            need(len(key) <= 64 and isinstance(value, str) and len(value) <= 512, f'metadata.{key}', 'too long or no string')
    if body.get('reasoning_effort') is not None:
        one_of(body['reasoning_effort'], 'reasoning_effort', ('none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'))
    if 'safety_identifier' in body:
        need(len(body['safety_identifier']) <= 64, 'safety_identifier', 'at most 64')


# ---- answers ----------------------------------------------------------------------------------------------------

FINISH = {'end': 'stop', 'length': 'length', 'calls': 'tool_calls', 'filter': 'content_filter', 'sequence': 'stop'}


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':')).encode()


def usage_of(turn):
    u = turn.usage
    prompt = u.input + u.cached + u.written
    return {'prompt_tokens': prompt, 'completion_tokens': u.output, 'total_tokens': prompt + u.output,
            'prompt_tokens_details': {'cached_tokens': u.cached, 'audio_tokens': 0},
            'completion_tokens_details': {'reasoning_tokens': u.reasoning, 'audio_tokens': 0, 'accepted_prediction_tokens': 0, 'rejected_prediction_tokens': 0}}


def plain(turn, request):
    message = {'role': 'assistant', 'content': turn.text() if any(p[0] == 'text' for p in turn.parts) else None, 'refusal': None, 'annotations': []}
    if turn.thinking():
        message['reasoning_content'] = turn.thinking()
    made = [{'id': p[1], 'type': 'function', 'function': {'name': p[2], 'arguments': ''.join(p[3])}} for p in turn.parts if p[0] == 'call']
    if made:
        message['tool_calls'] = made
    return dump({'id': 'chatcmpl-mock1', 'object': 'chat.completion', 'created': 1788000000, 'model': request.model,
                 'choices': [{'index': 0, 'message': message, 'logprobs': None, 'finish_reason': FINISH[turn.reason]}],
                 'usage': usage_of(turn), 'service_tier': 'default', 'system_fingerprint': 'fp_mock'})


def event(value):
    return b'data: ' + (value if isinstance(value, bytes) else dump(value)) + b'\n\n'


def stream(turn, request):
    """A list of events, each complete with its blank line."""
    asked = bool((request.json.get('stream_options') or {}).get('include_usage')) if isinstance(request.json, dict) else False
    skeleton = {'id': 'chatcmpl-mock1', 'object': 'chat.completion.chunk', 'created': 1788000000, 'model': request.model, 'service_tier': 'default', 'system_fingerprint': 'fp_mock'}
    out = []

    def put(delta, finish=None):
        chunk = dict(skeleton, choices=[{'index': 0, 'delta': delta, 'logprobs': None, 'finish_reason': finish}])
        if asked:
            chunk['usage'] = None
        out.append(event(chunk))

    put({'role': 'assistant', 'content': '', 'refusal': None})
    index, open_calls = 0, []
    for part in turn.parts:
        if part[0] == 'text':
            for fragment in part[1]:
                put({'content': fragment})
        elif part[0] == 'think':
            for fragment in part[1]:
                put({'reasoning_content': fragment})
        elif part[0] == 'call':
            put({'tool_calls': [{'index': index, 'id': part[1], 'type': 'function', 'function': {'name': part[2], 'arguments': ''}}]})
            if turn.interleave:
                open_calls.append((index, list(part[3])))
            else:
                for fragment in part[3]:
                    put({'tool_calls': [{'index': index, 'function': {'arguments': fragment}}]})
            index += 1
    while any(f for _, f in open_calls):
        for at, fragments in open_calls:
            if fragments:
                put({'tool_calls': [{'index': at, 'function': {'arguments': fragments.pop(0)}}]})
    put({}, FINISH[turn.reason])
    if asked:
        out.append(event(dict(skeleton, choices=[], usage=usage_of(turn))))
    out.append(event(b'[DONE]'))
    return out


ERRORS = {400: ('invalid_request_error', 'invalid_value'), 401: ('invalid_request_error', 'invalid_api_key'), 402: ('insufficient_quota', 'insufficient_quota'),
          403: ('invalid_request_error', 'model_not_available'), 404: ('invalid_request_error', 'model_not_found'), 413: ('invalid_request_error', None),
          422: ('invalid_request_error', None), 429: ('requests', 'rate_limit_exceeded'), 500: ('server_error', None), 502: ('server_error', None),
          503: ('server_error', 'server_is_overloaded'), 504: ('server_error', None), 529: ('server_error', 'overloaded')}


def error_body(status, message, where=None, code=None):
    kind, usual = ERRORS.get(status, ('server_error', None))
    return dump({'error': {'message': message, 'type': kind, 'param': where or None, 'code': code or usual}})


def error_event(status, message):
    return b'data: ' + error_body(status, message) + b'\n\n'


def keep_alive():
    return b': keep-alive\n\n'


REQUEST_ID = 'x-request-id'


def models(names):
    return dump({'object': 'list', 'data': [{'id': n, 'object': 'model', 'created': 1788000000, 'owned_by': 'mock'} for n in names]})



"""Google Gemini (v1beta), as its server behaves."""
import json
import re

from .openai_chat import dump
from .rules import Bad, base64_text, need, one_of, typed

NAME = 'gemini'
REQUEST_ID = 'x-gemini-request'
PATH = re.compile(r'/v1(?:beta)?/models/(.+):(generateContent|streamGenerateContent|countTokens)\Z')

TOP = {'contents', 'systemInstruction', 'tools', 'toolConfig', 'safetySettings', 'generationConfig', 'cachedContent', 'serviceTier'}
CONFIG = set('''temperature topP topK candidateCount maxOutputTokens stopSequences presencePenalty frequencyPenalty seed responseLogprobs logprobs responseMimeType
responseSchema responseJsonSchema responseModalities thinkingConfig speechConfig imageConfig mediaResolution'''.split())
SCHEMA = set('''type format title description nullable enum items maxItems minItems properties required propertyOrdering anyOf minProperties maxProperties minLength maxLength
pattern example default minimum maximum'''.split())
SKIP = 'skip_thought_signature_validator'  # what Google documents for calls that no Gemini made
NAME_RULE = re.compile(r'[A-Za-z_][A-Za-z0-9_.:-]{0,127}\Z')


def members(value, where, names):
    need(isinstance(value, dict), where, 'not an object')
    for name in value:
        if name not in names:
            raise Bad('', f'Invalid JSON payload received. Unknown name "{name}" at \'{where}\': Cannot find field.')


def check_headers(headers):
    if 'x-goog-api-key' not in headers and 'authorization' not in headers:
        raise Bad('', 'Method doesn\'t allow unregistered callers', None, 403)
    for name in headers:
        need(not name.startswith(('anthropic-', 'openai-')) and name != 'x-api-key', name, 'foreign header')


def schema(value, where):
    members(value, where, SCHEMA)
    for name, inner in (value.get('properties') or {}).items():
        schema(inner, f'{where}.properties[{name}]')
    if 'items' in value:
        schema(value['items'], f'{where}.items')
    for inner in value.get('anyOf', []):
        schema(inner, f'{where}.any_of')
    for name in value.get('required', []):
        need(name in value.get('properties', {}), where, f'required[{name}]: property is not defined')
    if 'type' in value:
        one_of(str(value['type']).upper(), f'{where}.type', ('STRING', 'NUMBER', 'INTEGER', 'BOOLEAN', 'ARRAY', 'OBJECT', 'NULL'))


def content(value, where, roles=('user', 'model', 'function')):
    members(value, where, {'role', 'parts'})
    one_of(value.get('role', 'user'), f'{where}.role', roles)
    typed(value.get('parts'), f'{where}.parts', 'list')
    need(value['parts'], where, 'Unable to submit request because it must have at least one part')
    for i, part in enumerate(value['parts']):
        at = f'{where}.parts[{i}]'
        members(part, at, {'text', 'inlineData', 'fileData', 'functionCall', 'functionResponse', 'executableCode', 'codeExecutionResult', 'thought', 'thoughtSignature', 'videoMetadata'})
        payload = [n for n in part if n not in ('thought', 'thoughtSignature', 'videoMetadata')]
        need(len(payload) == 1, at, 'required oneof field \'data\' must have one initialized field')
        if 'text' in part:
            typed(part['text'], f'{at}.text', 'str')
        if part.get('thoughtSignature', SKIP) != SKIP:
            base64_text(part['thoughtSignature'], f'{at}.thought_signature')
            need(part['thoughtSignature'].startswith('EqRs'), at, 'Corrupted thought signature.')
        if 'inlineData' in part:
            members(part['inlineData'], f'{at}.inline_data', {'mimeType', 'data'})
            typed(part['inlineData'].get('mimeType'), at, 'str')
            base64_text(part['inlineData'].get('data'), at)
        if 'functionCall' in part:
            members(part['functionCall'], at, {'name', 'args', 'id'})
            need(NAME_RULE.match(part['functionCall'].get('name', '')), at, 'Invalid function name')
            typed(part['functionCall'].get('args', {}), f'{at}.args', 'object')
        if 'functionResponse' in part:
            members(part['functionResponse'], at, {'name', 'response', 'id', 'parts', 'scheduling', 'willContinue'})
            need(part['functionResponse'].get('name'), at, 'name is required')
            typed(part['functionResponse'].get('response'), f'{at}.response', 'object')


def signatures(contents):
    """Of each step of the current turn the first call has one."""
    asked = [i for i, value in enumerate(contents) if value.get('role') != 'model' and not any('functionResponse' in p for p in value['parts'])]
    for i in range(asked[-1] if asked else 0, len(contents)):
        called = [p for p in contents[i]['parts'] if 'functionCall' in p]
        need(not called or called[0].get('thoughtSignature'), f'contents[{i}]', 'Function call is missing a thought_signature in functionCall parts.')


def validate(request):
    check_headers(request.headers)
    body = request.json
    method = PATH.match(request.path.split('?')[0])[2]
    if method == 'countTokens':
        members(body, 'count_tokens_request', {'contents', 'generateContentRequest'})
        return
    members(body, '', TOP)
    contents = body.get('contents')
    typed(contents, 'contents', 'list')
    need(contents, 'contents', 'contents is not specified')
    for i, value in enumerate(contents):
        content(value, f'contents[{i}]')
    if 'systemInstruction' in body:
        content(body['systemInstruction'], 'system_instruction', ('user', 'model', 'function', 'system'))  # which is ignored there
        for part in body['systemInstruction']['parts']:
            need('text' in part, 'system_instruction', 'text only')
    if '/gemini-3' in request.path:
        signatures(contents)
    merged = []
    for value in contents:
        role = 'model' if value.get('role') == 'model' else 'user'
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(value['parts'])
        else:
            merged.append((role, list(value['parts'])))
    need(merged[0][0] == 'user', 'contents', 'Please ensure that function call turn comes immediately after a user turn or after a function response turn.')
    for i, (role, parts) in enumerate(merged):
        called = [p['functionCall']['name'] for p in parts if 'functionCall' in p]
        if role == 'model' and called:
            found = [p['functionResponse'] for p in (merged[i + 1][1] if i + 1 < len(merged) else []) if 'functionResponse' in p]
            answered = [f['name'] for k, f in enumerate(found) if 'id' not in f or f not in found[:k]]  # Gemini CLI says one twice in a session that goes on
            need(sorted(called) == sorted(answered), 'contents', 'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.')
        if role == 'user' and any('functionResponse' in p for p in parts):
            need(i > 0 and any('functionCall' in p for p in merged[i - 1][1]), 'contents', 'function response without its call')
    declared = set()
    for i, tool in enumerate(body.get('tools') or []):
        members(tool, f'tools[{i}]', {'functionDeclarations', 'googleSearch', 'codeExecution', 'urlContext'})
        for k, function in enumerate(tool.get('functionDeclarations', [])):
            at = f'tools[{i}].function_declarations[{k}]'
            members(function, at, {'name', 'description', 'parameters', 'parametersJsonSchema', 'response', 'behavior'})
            need(NAME_RULE.match(function.get('name', '')), at, 'Invalid function name')
            need(function['name'] not in declared, at, 'Duplicate function declaration found')
            declared.add(function['name'])
            need(not ('parameters' in function and 'parametersJsonSchema' in function), at, 'both schemas')
            if 'parameters' in function:
                schema(function['parameters'], f'{at}.parameters')
                if str(function['parameters'].get('type', '')).upper() == 'OBJECT':
                    need(function['parameters'].get('properties'), at, 'should be non-empty for OBJECT type')
    if 'toolConfig' in body:
        members(body['toolConfig'], 'tool_config', {'functionCallingConfig'})
        config = body['toolConfig']['functionCallingConfig']
        members(config, 'tool_config.function_calling_config', {'mode', 'allowedFunctionNames'})
        one_of(config.get('mode'), 'mode', ('AUTO', 'ANY', 'NONE', 'VALIDATED'))
        for name in config.get('allowedFunctionNames', []):
            need(name in declared, 'allowed_function_names', f'{name} is not declared')
            need(config['mode'] in ('ANY', 'VALIDATED'), 'allowed_function_names', 'only with ANY')
    config = body.get('generationConfig', {})
    members(config, 'generation_config', CONFIG)
    for name, kind, low, high in (('temperature', 'number', 0, 2), ('topP', 'number', 0, 1), ('maxOutputTokens', 'int', 1, None), ('candidateCount', 'int', 1, 8), ('seed', 'int', -2**31, 2**31 - 1)):
        if name in config:
            typed(config[name], f'generation_config.{name}', kind, low, high)
    if 'stopSequences' in config:
        need(len(config['stopSequences']) <= 5, 'stop_sequences', 'at most 5')
    need(not ('responseSchema' in config and 'responseJsonSchema' in config), 'generation_config', 'both schemas')
    if 'responseSchema' in config or 'responseJsonSchema' in config:
        need(config.get('responseMimeType') in ('application/json', 'text/x.enum'), 'generation_config', 'needs a response mime type of application/json')
    if 'responseSchema' in config:
        schema(config['responseSchema'], 'generation_config.response_schema')
    if 'thinkingConfig' in config:
        members(config['thinkingConfig'], 'thinking_config', {'includeThoughts', 'thinkingBudget', 'thinkingLevel'})
        need(not ('thinkingBudget' in config['thinkingConfig'] and 'thinkingLevel' in config['thinkingConfig']), 'thinking_config', 'both budget and level')


def is_stream(request):
    return ':streamGenerateContent' in request.path


FINISH = {'end': 'STOP', 'length': 'MAX_TOKENS', 'calls': 'STOP', 'filter': 'SAFETY', 'sequence': 'STOP'}


def usage_of(turn):
    u = turn.usage
    made = {'promptTokenCount': u.input + u.cached + u.written, 'candidatesTokenCount': u.output - u.reasoning, 'totalTokenCount': u.input + u.cached + u.written + u.output}
    if u.cached:
        made['cachedContentTokenCount'] = u.cached
    if u.reasoning:
        made['thoughtsTokenCount'] = u.reasoning
    return made


def chunk(turn, request, parts, finish=None):
    candidate = {'content': {'parts': parts, 'role': 'model'}, 'index': 0}
    if finish:
        candidate['finishReason'] = finish
    return {'candidates': [candidate], 'usageMetadata': usage_of(turn), 'modelVersion': request.model, 'responseId': 'r-mock1'}


def parts_of(turn):
    """Lists of parts, a list a chunk: thoughts carry no signature, the first call after them does, or a last text without words."""
    out, seal = [], None
    for part in turn.parts:
        if part[0] == 'think':
            out += [[{'text': fragment, 'thought': True}] for fragment in part[1]]
            seal = part[2]
        elif part[0] == 'text':
            out += [[{'text': fragment}] for fragment in part[1]]
        elif part[0] == 'call':
            made = {'functionCall': {'name': part[2], 'args': json.loads(''.join(part[3]) or '{}'), 'id': part[1]}}
            out.append([dict(made, thoughtSignature=seal) if seal else made])
            seal = None
    return out + [[dict({'text': ''}, **({'thoughtSignature': seal} if seal else {}))]]


def plain(turn, request):
    if request.path.split('?')[0].endswith(':countTokens'):
        return dump({'totalTokens': 2095})
    parts = []
    for part in (p for chunk in parts_of(turn) for p in chunk):
        if parts and part.keys() - {'thoughtSignature'} == parts[-1].keys() and 'text' in part:
            parts[-1] = dict(part, text=parts[-1]['text'] + part['text'])
        elif part != {'text': ''}:
            parts.append(part)
    return dump(chunk(turn, request, parts, FINISH[turn.reason]))


def stream(turn, request):
    made = parts_of(turn)
    out = [chunk(turn, request, parts, FINISH[turn.reason] if i == len(made) - 1 else None) for i, parts in enumerate(made)]
    if 'alt=sse' not in request.path:  # one JSON array, element by element
        return [(b',\r\n' if i else b'[') + dump(c) + (b']' if i == len(out) - 1 else b'') for i, c in enumerate(out)]
    return [b'data: ' + dump(c) + b'\r\n\r\n' for c in out]


STATUS = {400: 'INVALID_ARGUMENT', 401: 'UNAUTHENTICATED', 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND', 429: 'RESOURCE_EXHAUSTED', 500: 'INTERNAL', 503: 'UNAVAILABLE', 504: 'DEADLINE_EXCEEDED', 529: 'UNAVAILABLE'}


def error_body(status, message, where=None, code=None):
    return dump({'error': {'code': status, 'message': message, 'status': STATUS.get(status, 'INTERNAL')}})


def error_event(status, message):
    return error_body(status, message)


def keep_alive():
    return b''


def models(names):
    return dump({'models': [{'name': f'models/{n}', 'displayName': n, 'supportedGenerationMethods': ['generateContent']} for n in names]})

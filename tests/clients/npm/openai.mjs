import OpenAI from 'openai'
import { CITY, gathered, HISTORY, QUESTION, run } from './cases.mjs'

const model = 'gpt-test'
const messages = [{ role: 'user', content: QUESTION }]
const tools = [{ type: 'function', function: { name: 'get_weather', parameters: CITY } }]
const response_format = {
  type: 'json_schema',
  json_schema: { name: 'place', strict: true, schema: CITY },
}
const calls = (message) => message.tool_calls.map((call) => [call.id, call.function.arguments])
const texts = (completion) => completion.choices.map((choice) => choice.message.content)

run((asked) => {
  const client = new OpenAI({ baseURL: asked.url, apiKey: asked.token, maxRetries: asked.retries })
  const chat = client.chat.completions
  const whole = (body) => chat.stream({ model, messages, ...body }).finalChatCompletion()

  return {
    async plain() {
      const { data, response } = await chat.create({ model, messages: HISTORY }).withResponse()
      return { texts: texts(data), context: response.headers.get('x-alchemyst-context') }
    },
    async streamed() {
      const options = { stream: true, stream_options: { include_usage: true } }
      const chunks = await gathered(await chat.create({ model, messages, ...options }), (c) => c)
      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
      return { texts: [text], tokens: chunks.at(-1).usage.total_tokens }
    },
    async tools() {
      const { choices } = await chat.create({ model, messages, tools })
      const results = choices[0].message.tool_calls.map((call) => {
        return { role: 'tool', tool_call_id: call.id, content: 'rain' }
      })
      const all = [...HISTORY, choices[0].message, ...results]
      const answer = await chat.create({ model, messages: all, tools })
      return { calls: calls(choices[0].message), texts: texts(answer) }
    },
    async streamedTools() {
      return { calls: calls((await whole({ tools })).choices[0].message) }
    },
    async schema() {
      const { choices } = await chat.parse({ model, messages, response_format })
      return { parsed: choices[0].message.parsed ?? JSON.parse(choices[0].message.content) }
    },
    async streamedSchema() {
      return { parsed: JSON.parse(texts(await whole({ response_format }))[0]) }
    },
    async picture() {
      const picture = { type: 'image_url', image_url: { url: asked.picture } }
      const content = [{ type: 'text', text: 'What is it?' }, picture]
      return { texts: texts(await chat.create({ model, messages: [{ role: 'user', content }] })) }
    },
    async several() {
      const plain = await chat.create({ model, messages, n: 2, logprobs: true, top_logprobs: 1 })
      const streamed = await whole({ n: 2, logprobs: true, top_logprobs: 1 })
      const logprobs = plain.choices[1].logprobs.content[0].logprob
      return { texts: [...texts(plain), ...texts(streamed)], logprobs }
    },
    async models() {
      return { models: (await client.models.list()).data.map((each) => each.id) }
    },
    async streamWithError() {
      const options = { stream: true }
      return { texts: await gathered(await chat.create({ model, messages, ...options }), (c) => c) }
    },
    async leave() {
      const stream = await chat.create({ model, messages, stream: true })
      for await (const _ of stream) break
      return { left: true }
    },
    async abort() {
      const signal = AbortSignal.timeout(300)
      return chat.create({ model, messages }, { signal })
    },
  }
})

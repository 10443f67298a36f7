import OpenAI from 'openai'
import { CITY, gathered, HISTORY, QUESTION, run } from './cases.mjs'

const model = 'gpt-test'
const tools = [{ type: 'function', name: 'get_weather', parameters: CITY, strict: true }]
const text = { format: { type: 'json_schema', name: 'place', strict: true, schema: CITY } }
const called = (output) => output.filter((item) => item.type === 'function_call')
const calls = (output) => called(output).map((call) => [call.call_id, call.arguments])

run((asked) => {
  const client = new OpenAI({ baseURL: asked.url, apiKey: asked.token, maxRetries: asked.retries })
  const create = (body) => client.responses.create({ model, input: QUESTION, ...body })
  const whole = (body) => client.responses.stream({ model, input: QUESTION, ...body }).finalResponse()

  return {
    async plain() {
      const { data, response } = await create({ input: HISTORY }).withResponse()
      return { texts: [data.output_text], context: response.headers.get('x-alchemyst-context') }
    },
    async streamed() {
      const events = await gathered(await create({ stream: true }), (event) => event)
      const pieces = events.filter((event) => event.type === 'response.output_text.delta')
      const text = pieces.map((event) => event.delta).join('')
      return { texts: [text], tokens: events.at(-1).response.usage.total_tokens }
    },
    async tools() {
      const { output } = await create({ input: HISTORY, tools })
      const results = called(output).map((call) => {
        return { type: 'function_call_output', call_id: call.call_id, output: 'rain' }
      })
      const answer = await create({ input: [...HISTORY, ...output, ...results], tools })
      return { calls: calls(output), texts: [answer.output_text] }
    },
    async streamedTools() {
      return { calls: calls((await whole({ tools })).output) }
    },
    async schema() {
      return { parsed: (await client.responses.parse({ model, input: QUESTION, text })).output_parsed }
    },
    async streamedSchema() {
      return { parsed: JSON.parse((await whole({ text })).output_text) }
    },
    async picture() {
      const picture = { type: 'input_image', image_url: asked.picture, detail: 'low' }
      const content = [{ type: 'input_text', text: 'What is it?' }, picture]
      return { texts: [(await create({ input: [{ role: 'user', content }] })).output_text] }
    },
    async streamWithError() {
      const events = await gathered(await create({ stream: true }), (event) => event)
      return events.at(-1).response.error
    },
    async leave() {
      for await (const _ of await create({ stream: true })) break
      return { left: true }
    },
    async abort() {
      const signal = AbortSignal.timeout(300)
      return client.responses.create({ model, input: QUESTION }, { signal })
    },
  }
})

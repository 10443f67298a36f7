import Anthropic from '@anthropic-ai/sdk'
import { HISTORY, QUESTION, run } from './cases.mjs'

const asking = { model: 'claude-test', max_tokens: 9 }
const question = [{ role: 'user', content: QUESTION }]
const tools = [{ name: 'weather', input_schema: { type: 'object', properties: {} } }]

run((asked) => {
  const defaultHeaders = { 'X-Upstream-Api-Key': asked.key }
  const { url: baseURL, token: apiKey } = asked
  const client = new Anthropic({ baseURL, apiKey, defaultHeaders, maxRetries: 0 })
  const text = ({ content }) => content.filter((b) => b.type === 'text').map((b) => b.text)

  return {
    async plain() {
      const answer = await client.messages.create({ ...asking, messages: HISTORY })
      return { texts: text(answer), tokens: answer.usage.output_tokens }
    },
    async streamed() {
      const stream = client.messages.stream({ ...asking, messages: question })
      const answer = await stream.finalMessage()
      return { texts: text(answer), signature: answer.content[0].signature }
    },
    async tools() {
      const first = await client.messages.create({ ...asking, messages: question, tools })
      const results = first.content.map(({ id }) => {
        return { type: 'tool_result', tool_use_id: id, content: 'sunny' }
      })
      const loop = [{ role: 'assistant', content: first.content }, { role: 'user', content: results }]
      const answer = await client.messages.create({
        ...asking,
        messages: [...question, ...loop],
        tools,
      })
      return { calls: first.content.map((call) => call.input.city), texts: text(answer) }
    },
    async others() {
      const count = await client.messages.countTokens({ ...asking, messages: HISTORY })
      const listed = await client.models.list()
      return { tokens: count.input_tokens, models: listed.data.map((model) => model.id) }
    },
  }
})

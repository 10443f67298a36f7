import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai'
import { CITY, gathered, HISTORY, QUESTION, run } from './cases.mjs'

globalThis.AI_SDK_LOG_WARNINGS = false
const compatible = { name: 'alchemyst', includeUsage: true, supportsStructuredOutputs: true }
const weather = tool({
  description: 'The weather of a city',
  inputSchema: jsonSchema(CITY),
  execute: async ({ city }) => `rain in ${city}`,
})
const output = Output.object({ schema: jsonSchema(CITY) })
const calls = (steps) => steps[0].toolCalls.map((call) => [call.toolCallId, call.input])
const failed = async (stream) => {
  const errors = await gathered(stream.fullStream, (part) => part)
  throw errors.find((part) => part.type === 'error').error
}
const onError = () => {}

run((asked) => {
  const options = { baseURL: asked.url, apiKey: asked.token, headers: asked.headers }
  const models = {
    anthropic: () => createAnthropic(options)('claude-test'),
    openai: () => createOpenAI(options).chat('gpt-test'),
    responses: () => createOpenAI(options)('gpt-test'),
    'openai-compatible': () => createOpenAICompatible({ ...options, ...compatible })('gpt-test'),
  }
  const model = models[asked.by]()
  const question = { model, prompt: QUESTION, maxRetries: asked.retries }
  const looped = { ...question, tools: { get_weather: weather }, stopWhen: stepCountIs(3) }

  return {
    async plain() {
      const { model, maxRetries } = question
      const { text, response } = await generateText({ model, maxRetries, messages: HISTORY })
      return { texts: [text], context: response.headers['x-alchemyst-context'] }
    },
    async streamed() {
      const stream = streamText(question)
      const pieces = await gathered(stream.textStream, (piece) => piece)
      return { texts: [pieces.join('')], tokens: (await stream.usage).totalTokens }
    },
    async tools() {
      const { steps, text } = await generateText(looped)
      return { calls: calls(steps), texts: [text] }
    },
    async streamedTools() {
      const stream = streamText(looped)
      return { calls: calls(await stream.steps), texts: [await stream.text] }
    },
    async schema() {
      return { parsed: (await generateText({ ...question, output })).output }
    },
    async streamedSchema() {
      const stream = streamText({ ...question, output })
      return { parsed: (await gathered(stream.partialOutputStream, (part) => part)).at(-1) }
    },
    async picture() {
      const { model, maxRetries } = question
      const content = [
        { type: 'text', text: 'What is it?' },
        { type: 'image', image: asked.picture },
      ]
      const { text } = await generateText({ model, maxRetries, messages: [{ role: 'user', content }] })
      return { texts: [text] }
    },
    async streamWithError() {
      return failed(streamText({ ...question, onError }))
    },
    async leave() {
      const leaving = new AbortController()
      const stream = streamText({ ...question, abortSignal: leaving.signal, onError })
      for await (const _ of stream.textStream) leaving.abort()
      return { left: true }
    },
    async abort() {
      return generateText({ ...question, abortSignal: AbortSignal.timeout(300) })
    },
  }
})

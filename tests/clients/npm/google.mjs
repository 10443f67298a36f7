import { GoogleGenAI } from '@google/genai'
import { gathered, HISTORY, QUESTION, run } from './cases.mjs'

const model = 'gemini-test'
const parameters = { type: 'OBJECT', properties: { city: { type: 'STRING' } } }
const tools = [{ functionDeclarations: [{ name: 'weather', parameters }] }]
const contents = HISTORY.map(({ role, content }) => {
  return { role: role === 'assistant' ? 'model' : role, parts: [{ text: content }] }
})

run((asked) => {
  const headers = { Authorization: `Bearer ${asked.token}` }
  const httpOptions = { baseUrl: asked.url, headers }
  const { models, chats } = new GoogleGenAI({ apiKey: asked.key, httpOptions })
  const stream = (config) => models.generateContentStream({ model, contents: QUESTION, config })

  return {
    async plain() {
      const { text, usageMetadata } = await models.generateContent({ model, contents })
      return { texts: [text], tokens: usageMetadata.totalTokenCount }
    },
    async streamed() {
      const chunks = await gathered(await stream(), (chunk) => chunk)
      const text = chunks.map((chunk) => chunk.text ?? '').join('')
      const { thoughtSignature } = chunks.at(-1).candidates[0].content.parts[0]
      return { texts: [text.trim()], thoughtSignature }
    },
    async chat() {
      const chat = chats.create({ model })
      await chat.sendMessage({ message: 'How is bread made?' })
      return { texts: [(await chat.sendMessage({ message: 'And cake?' })).text] }
    },
    async tools() {
      const config = { tools }
      const { candidates, functionCalls } = await models.generateContent({ model, contents, config })
      const results = functionCalls.map(({ name }) => {
        return { functionResponse: { name, response: { is: 'sunny' } } }
      })
      const all = [...contents, candidates[0].content, { role: 'user', parts: results }]
      const { text } = await models.generateContent({ model, contents: all, config })
      return { calls: functionCalls.map((call) => call.args.city), texts: [text] }
    },
    async picture() {
      const [, data] = asked.picture.split(',')
      const parts = [{ text: 'What is it?' }, { inlineData: { mimeType: 'image/png', data } }]
      const config = { responseMimeType: 'application/json', responseSchema: parameters }
      const { text } = await models.generateContent({ model, contents: [{ parts }], config })
      return { texts: [text] }
    },
    async others() {
      const { embeddings } = await models.embedContent({ model, contents: ['one', 'two'] })
      const { totalTokens } = await models.countTokens({ model, contents: QUESTION })
      const listed = await models.list()
      return { embeddings: embeddings.length, totalTokens, models: listed.page.map((m) => m.name) }
    },
    async streamWithError() {
      return { texts: await gathered(await stream(), (chunk) => chunk.text) }
    },
    async leave() {
      // Only a signal ends it: the package keeps reading for nobody when a loop breaks off.
      const leaving = new AbortController()
      for await (const _ of await stream({ abortSignal: leaving.signal })) leaving.abort()
      return { left: true }
    },
    async abort() {
      await stream({ abortSignal: AbortSignal.timeout(300) })
    },
  }
})

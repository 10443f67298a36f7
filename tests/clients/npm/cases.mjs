// Runs the cases that it is asked for, one a line, and prints what each came to, as JSON.

import { createInterface } from 'node:readline'

export const QUESTION = 'How long does sourdough bread have to bake?'
export const HISTORY = [
  { role: 'user', content: 'What is the capital of France?' },
  { role: 'assistant', content: 'The capital of France is Paris, on the river Seine.' },
  { role: 'user', content: 'Which film by Tarkovsky should I watch first?' },
  { role: 'assistant', content: 'Start with Stalker, a slow and beautiful journey.' },
  { role: 'user', content: QUESTION },
]
export const CITY = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}
export async function run(casesFor) {
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line)
    const began = Date.now()
    const outcome = await casesFor(asked)[asked.case]().catch(told)
    console.log(JSON.stringify({ ...outcome, seconds: (Date.now() - began) / 1000 }))
  }
  process.exit()
}

export async function gathered(stream, read) {
  const pieces = []
  for await (const piece of stream) pieces.push(read(piece))
  return pieces
}

function told(error) {
  const { status, statusCode, code, type, message, headers } = error
  const retryAfter = headers?.get?.('retry-after') ?? error.responseHeaders?.['retry-after']
  const kind = error.constructor.name
  return { kind, status: status ?? statusCode, code, type, message, retryAfter }
}

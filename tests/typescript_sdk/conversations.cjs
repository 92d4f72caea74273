// Drives the official SDK for TypeScript: `node conversations.cjs NAME ARGUMENTS` prints what it made of the answers.
const Anthropic = require("@anthropic-ai/sdk");
const { betaTool } = require("@anthropic-ai/sdk/helpers/beta/json-schema");
const { jsonSchemaOutputFormat } = require("@anthropic-ai/sdk/helpers/json-schema");

const received = []; // the text of every answer, as it came over the wire

async function recordingFetch(url, options) {
  const response = await fetch(url, options);
  const [shown, kept] = response.body === null ? [null, null] : response.body.tee();
  if (kept !== null) received.push(new Response(kept).text());
  return new Response(shown, response);
}

const client = new Anthropic({ maxRetries: 0, fetch: recordingFetch });

async function streams({ requests }) {
  const answers = [];
  for (const request of requests) answers.push(await oneStream(request));
  return answers;
}

async function oneStream(request) {
  const heard = { text: "", thinking: "", inputJson: "", citations: 0, blocks: [] };
  const stream = client.messages.stream(request);
  stream.on("text", (piece) => (heard.text += piece));
  stream.on("thinking", (piece) => (heard.thinking += piece));
  stream.on("inputJson", (piece) => (heard.inputJson += piece));
  stream.on("citation", () => (heard.citations += 1));
  stream.on("contentBlock", (block) => heard.blocks.push(block.type));
  const message = await stream.finalMessage();
  return { message, heard, requestId: stream.request_id };
}

async function brokenStream(request) {
  const heard = { text: "" };
  const stream = client.messages.stream(request);
  stream.on("text", (piece) => (heard.text += piece));
  return { ...(await failure(() => stream.finalMessage())), heard };
}

async function tools({ requests, stream }) {
  const answers = [];
  for (const request of requests) answers.push(await runTools(request, stream));
  return answers;
}

async function runTools(request, stream) {
  const commands = [];
  const bash = betaTool({
    name: "Bash",
    description: "Run a command",
    inputSchema: {
      type: "object",
      properties: { command: { type: "string" }, description: { type: "string" } },
      required: ["command"],
    },
    run: ({ command }) => {
      commands.push(command);
      return `printed by ${command}`;
    },
  });
  const runner = client.beta.messages.toolRunner({ ...request, tools: [bash], stream });
  return { message: await runner.runUntilDone(), commands };
}

async function structured({ request, schema }) {
  const format = jsonSchemaOutputFormat(schema);
  const message = await client.messages.parse({ ...request, output_config: { format } });
  return { parsed: message.parsed_output };
}

async function count(request) {
  return await client.messages.countTokens(request);
}

async function models({ limit, named }) {
  const ids = [];
  for await (const model of client.models.list({ limit })) ids.push(model.id);
  return { ids, named: await client.models.retrieve(named) };
}

async function failures({ requests }) {
  const told = [];
  for (const request of requests) told.push(await failure(() => client.messages.create(request)));
  return told;
}

async function failure(call) {
  try {
    return { answer: await call() };
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    const { status, type, requestID, apiMessage, error: body } = error;
    return { kind: error.constructor.name, status, type, requestId: requestID ?? null, message: apiMessage, body };
  }
}

const conversations = { streams, brokenStream, tools, structured, count, models, failures };

async function main([name, details]) {
  const result = await conversations[name](JSON.parse(details));
  process.stdout.write(JSON.stringify({ result, received: await Promise.all(received) }));
}

main(process.argv.slice(2));

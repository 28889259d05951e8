// Evaluates requests against IAM policies. Reads {"policies": {name: document}, "requests": [{action, resource, context}]} from stdin and prints
// one result per request: "Allowed", "ImplicitlyDenied" or "ExplicitlyDenied". The last argument is the folder with node_modules.

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const { runSimulation } = createRequire(`${process.argv.at(-1)}/`)("@cloud-copilot/iam-simulate");

const ACCOUNT = "123456789012";

async function evaluate(policies, { action, resource, context }) {
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${ACCOUNT}:assumed-role/tested/session`,
        action,
        resource: { resource, accountId: ACCOUNT },
        contextVariables: context,
      },
      identityPolicies: Object.entries(policies).map(([name, policy]) => ({ name, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (result.resultType === "error") {
    throw new Error(`${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  }
  return result.overallResult;
}

async function main() {
  const { policies, requests } = JSON.parse(readFileSync(0, "utf8"));
  const results = [];
  for (const request of requests) {
    results.push(await evaluate(policies, request));
  }
  console.log(JSON.stringify(results));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

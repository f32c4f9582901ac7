// validate.js - objects of Kubernetes against the schemas of their kinds
//
// Reads a JSON list of objects, prints a line for each that its schema refuses, and ends with 1 if
// there is any, 2 if a kind is unknown. Patterns and ranges are its matter; fields that no schema
// knows are found by the TypeScript compiler, see test_schemas.py.
"use strict";

const PACKAGES = {
  "keda.sh/v1alpha1": "@kubernetes-models/keda/",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/",
};

function modelOf(object) {
  const folder = PACKAGES[object.apiVersion] ?? "kubernetes-models/";
  return require(`${folder}${object.apiVersion}/${object.kind}`)[object.kind];
}

let status = 0;
for (const object of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  const name = `${object.kind} ${object.metadata?.name}`;
  let model;
  try {
    model = modelOf(object);
  } catch (error) {
    console.log(`${name}: no schema for ${object.apiVersion}: ${error.message}`);
    process.exit(2);
  }
  try {
    new model(object).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    status = 1;
  }
}
process.exit(status);

package oracle_test

import (
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
)

// Null is no map key: an event whose argument would make a map with one is left out, wherever
// in the expression the map is, and even if it is only looked into.
func TestN1_NullIsNoKeyOfAnEvent(t *testing.T) {
	everywhere(t, `
  whole: 'latest({shop: amount})'
  part: 'latest({"a": amount, shop: 1.0})'
  loops: 'latest([1.0, 2.0].map(x, {shop: x})[1])'
  looked: 'latest({shop: amount}.size())'
  inside: 'latest([{shop: amount}].size())'
  nested: 'latest({"a": {shop: amount}}["a"].size())'
  optionals: 'latest(optional.of({shop: amount}).hasValue())'
  entries: 'latest({?shop: amount > 1.0 ? optional.of(amount) : optional.none()}.size())'
  tested: 'count().where("x" in {shop: amount})'
  taken: 'latest(ok ? {"b": amount} : {shop: amount})'
  values: 'latest({"a": qty}.size())'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, shop: x, amount: 10.0, ok: false}
  - {user_id: 1, ts: 2025-01-01T11:00:00Z, seen: 2025-01-01T11:00:00Z, id: b, amount: 80.0, ok: true}
  - {user_id: 2, ts: 2025-01-01T11:00:00Z, seen: 2025-01-01T11:00:00Z, id: c, amount: 80.0, ok: false}
expect:
  - {user_id: 1, at: 2025-01-02T00:00:00Z, whole: {x: 10.0}, part: {a: 10.0, x: 1.0}, loops: {x: 2.0}, looked: 1, inside: 1, nested: 1,
     optionals: true, entries: 1, tested: 1, taken: {b: 80.0}, values: 1}
  - {user_id: 2, at: 2025-01-02T00:00:00Z, whole: {status: EMPTY}, part: {status: EMPTY}, loops: {status: EMPTY}, looked: {status: EMPTY},
     inside: {status: EMPTY}, nested: {status: EMPTY}, optionals: {status: EMPTY}, entries: {status: EMPTY}, tested: 0, taken: {status: EMPTY}, values: 1}
`)
}

// A derived feature that makes a map whose key is a null request field is an error.
func TestN1_NullIsNoKeyOfARequest(t *testing.T) {
	dir := t.TempDir()
	defstest.Write(t, dir, ordersText+`
  n: count()
---
kind: FeatureService
name: s
features: [v]
request: {name: string, amount: double}
derived:
  whole: '{request.name: 1.0}'
  listed: '[{request.name: 1.0}].size()'
  looked: '{request.name: 1.0}.size()'
  maybe: {expr: '{request.name: 1.0}["x"]', default: 7.0, on_error: default}
  absorbed: 'request.name == null || "x" in {request.name: 1.0}'
  valued: '{"a": request.amount}.size()'
`, `
kind: FeatureTest
service: s
events: {}
expect:
  - {user_id: 1, at: 2025-01-02T00:00:00Z, request: {name: x, amount: 1.0}, whole: {x: 1.0}, listed: 1, looked: 1, maybe: 1.0, absorbed: true, valued: 1}
  - {user_id: 1, at: 2025-01-02T00:00:00Z, request: {name: null, amount: null}, whole: {status: ERROR}, listed: {status: ERROR}, looked: {status: ERROR},
     maybe: {value: 7.0, status: ERROR}, absorbed: true, valued: 1}
`)

	runCase(t, dir)
}

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// load is a way to bring a server down.
type load struct {
	name string
	want []string // documented outcomes of its requests
	run  func(ctx context.Context, t *target) error
}

var loads = []load{
	{"lists", []string{"resource_exhausted"}, readLists},
	{"large answers", []string{"ok", "resource_exhausted", "deadline_exceeded"}, readLargeAnswers},
	{"gzip", []string{"resource_exhausted", "invalid_argument", "400", "413"}, sendBombs},
	{"json", []string{"resource_exhausted", "413"}, sendLargeJSON},
	{"json values", []string{"resource_exhausted", "invalid_argument"}, sendManyJSONValues},
	{"never reading", []string{"never read"}, neverRead},
	{"slow bodies", []string{"resource_exhausted", "closed", "never answered"}, sendSlowly},
	{"slow headers", []string{"closed", "never answered"}, sendHeadersSlowly},
	{"header flood", []string{"closed", "431", "never answered"}, sendHeaders},
	{"resets", []string{"closed", "reset"}, resetStreams},
	{"streams", []string{"resource_exhausted", "closed", "open"}, openStreams},
	// A client may be told before it has sent all, and then calls that canceled.
	{"grpc messages", []string{"ok", "resource_exhausted", "invalid_argument", "canceled"}, sendLargeMessages},
	{"states", []string{"ok", "resource_exhausted", "deadline_exceeded"}, readStates},
	{"wide view", []string{"ok", "resource_exhausted"}, readWide},
	{"spines", []string{"ok", "resource_exhausted"}, uploadSpines},
	{"pushes", []string{"ok", "resource_exhausted"}, pushMuch},
}

// 50 kB ask for ten thousand lists of a thousand texts.
func readLists(ctx context.Context, t *target) error {
	body := t.read("recent_v1", 10_000)
	at(t.scale(16), func(int) { t.post(ctx, client(attacker), getFeatures, contentProto, body) })
	return nil
}

// The largest answers that the limits allow.
func readLargeAnswers(ctx context.Context, t *target) error {
	body := t.read("recent_v1", 1000)
	at(t.scale(32), func(int) { t.post(ctx, client(attacker), getFeatures, contentProto, body) })
	return nil
}

func packed(write func(w *gzip.Writer)) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	write(w)
	if err := w.Close(); err != nil {
		panic(err) // writing to a buffer cannot fail
	}
	return b.Bytes()
}

// Bodies that become large when they are decompressed, and larger when they are decoded.
func sendBombs(ctx context.Context, t *target) error {
	zeros := packed(func(w *gzip.Writer) {
		block := make([]byte, 1<<20)
		for range t.scale(512) {
			_, _ = w.Write(block)
		}
	})
	texts := packed(func(w *gzip.Writer) {
		m := &unskewv1.GetFeaturesRequest{Service: "small_v1", Keys: []*unskewv1.Column{{
			Name: "user_id", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: make([]string, 15<<20)}},
		}}}
		_, _ = w.Write(must(proto.Marshal(m)))
	})
	json := packed(func(w *gzip.Writer) { _, _ = w.Write(jsonOf(32 << 20)) })
	rows := packed(func(w *gzip.Writer) { _, _ = w.Write(bytes.Repeat([]byte(`{"rows":[{"user_id":1},`), 1<<20)) })
	at(t.scale(32), func(i int) {
		c := client(attacker)
		t.post(ctx, c, getFeatures, contentProto, texts, "Content-Encoding", "gzip")
		t.post(ctx, c, getFeatures, contentJSON, json, "Content-Encoding", "gzip")
		t.post(ctx, c, "/v1/services/small_v1:read", contentJSON, rows, "Content-Encoding", "gzip")
		t.post(ctx, c, []string{getFeatures, push}[i%2], contentProto, zeros, "Content-Encoding", "gzip")
	})
	return nil
}

// jsonOf is a read of many short texts, of so many bytes.
func jsonOf(size int) []byte {
	b := []byte(`{"service":"small_v1","keys":[{"name":"user_id","strings":{"values":[""`)
	b = append(b, bytes.Repeat([]byte(`,""`), (size-len(b)-5)/3)...)
	return append(b, "]}}]}"...)
}

func sendLargeJSON(ctx context.Context, t *target) error {
	body := jsonOf(32<<20 - 100)
	at(t.scale(16), func(int) { t.post(ctx, client(attacker), getFeatures, contentJSON, body) })
	return nil
}

// JSON of the largest size that is decoded.
func sendManyJSONValues(ctx context.Context, t *target) error {
	body := jsonOf(8<<20 - 100)
	rows := []byte(`{"rows":[` + strings.Repeat(`{"user_id":"1"},`, 500_000) + `{"user_id":1}]}`)
	at(t.scale(16), func(int) {
		c := client(attacker)
		t.post(ctx, c, getFeatures, contentJSON, body)
		t.post(ctx, c, "/v1/services/small_v1:read", contentJSON, rows)
	})
	return nil
}

// Many readers of states of 45 kB, 8 for each of their rows.
func readStates(ctx context.Context, t *target) error {
	m := &unskewv1.GetFeaturesRequest{Service: "states_v1"}
	users := make([]int64, t.project.users)
	for i := range users {
		users[i] = int64(i)
	}
	for r := range roles {
		m.Keys = append(m.Keys, ints(fmt.Sprintf("user%d", r), users...))
		m.Features = append(m.Features, fmt.Sprintf("role%d.notes", r))
	}
	body := must(proto.Marshal(m))
	at(t.scale(64), func(int) {
		c := client(attacker)
		for range 2 {
			t.post(ctx, c, getFeatures, contentProto, body)
		}
	})
	return nil
}

func readWide(ctx context.Context, t *target) error {
	body := t.read("wide_v1", wideUsers)
	at(t.scale(64), func(int) {
		c := client(attacker)
		for range 4 {
			t.post(ctx, c, getFeatures, contentProto, body)
		}
	})
	return nil
}

// Pushes of as many events and bytes as one may have.
func pushMuch(ctx context.Context, t *target) error {
	at(t.scale(32), func(i int) {
		const rows = 10_000
		ids, texts, users, times, amounts := make([]string, rows), make([]string, rows), make([]int64, rows), make([]int64, rows), make([]float64, rows)
		for r := range rows {
			ids[r], texts[r], users[r], times[r] = fmt.Sprintf("push-%d-%d", i, r), strings.Repeat("x", 3000), int64(r), 1735732800000000+int64(r)
		}
		m := &unskewv1.PushRequest{Source: "notes", Columns: []*unskewv1.Column{
			{Name: "id", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: ids}}},
			{Name: "at", Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: times}}},
			ints("user_id", users...),
			{Name: "amount", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: amounts}}},
			{Name: "text", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: texts}}},
		}}
		t.post(ctx, client(attacker), push, contentProto, must(proto.Marshal(m)))
	})
	return nil
}

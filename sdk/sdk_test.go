package sdk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// canned answers every read with one message and keeps what it was asked.
type canned struct {
	unskewv1connect.UnimplementedFeatureServiceHandler
	asked  *unskewv1.GetFeaturesRequest
	answer *unskewv1.GetFeaturesResponse
}

func (c *canned) GetFeatures(_ context.Context, req *connect.Request[unskewv1.GetFeaturesRequest]) (*connect.Response[unskewv1.GetFeaturesResponse], error) {
	c.asked = req.Msg
	if c.answer == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such service"))
	}
	return connect.NewResponse(c.answer), nil
}

func dial(t *testing.T, h unskewv1connect.FeatureServiceHandler) *Client {
	t.Helper()
	_, handler := unskewv1connect.NewFeatureServiceHandler(h)
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefusesWhatIsNoURL(t *testing.T) {
	for _, address := range []string{"", "localhost:7171", "127.0.0.1:7171", "ftp://host", "http://", "http://a b", "/x"} {
		if _, err := New(address); err == nil || !strings.Contains(err.Error(), "is not a URL such as http://127.0.0.1:7171") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, token := range []string{"unskew_secret\n", "unskew_ secret", "unskew_sécret"} {
		if _, err := New("https://features.example.com", WithToken(token)); err == nil || !strings.Contains(err.Error(), "no token has") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", token, err)
		}
	}
	if _, err := New("https://features.example.com/base"); err != nil {
		t.Error(err)
	}
}

// TestColumns pins the wire form of every constructor.
func TestColumns(t *testing.T) {
	at := time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.FixedZone("", 0))
	for _, c := range []struct {
		got  Column
		want *unskewv1.Column
	}{
		{Bools("x", true), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Bools{Bools: &unskewv1.Bools{Values: []bool{true}}}}},
		{Ints("x", math.MinInt64), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{math.MinInt64}}}}},
		{Doubles("x", 0.1), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{0.1}}}}},
		{Strings("x", "é"), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{"é"}}}}},
		{Bytes("x", []byte{0xff}), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Bytes{Bytes: &unskewv1.BytesValues{Values: [][]byte{{0xff}}}}}},
		{Times("x", at), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: []int64{-1}}}}},
		{Durations("x", time.Nanosecond), &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Durations{Durations: &unskewv1.Durations{Nanos: []int64{1}}}}},
		{Ints("x", 1, 2, 3).Null(2).Null(0, 2), &unskewv1.Column{Name: "x", Nulls: []uint32{0, 2}, Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{1, 2, 3}}}}},
		{FromWire(&unskewv1.Column{Name: "y"}), &unskewv1.Column{Name: "y"}},
	} {
		if !proto.Equal(c.got.wire, c.want) {
			t.Errorf("got %v, want %v", c.got.wire, c.want)
		}
	}
}

// TestNullLeavesItsColumn: Null returns another column.
func TestNullLeavesItsColumn(t *testing.T) {
	c := Ints("x", 1, 2)
	a, b := c.Null(0), c.Null(1)
	if len(c.wire.Nulls) != 0 || a.wire.Nulls[0] != 0 || b.wire.Nulls[0] != 1 {
		t.Errorf("%v %v %v", c.wire.Nulls, a.wire.Nulls, b.wire.Nulls)
	}
}

func out(name, typ string, c *unskewv1.Column, nulls ...uint32) *unskewv1.Output {
	c.Name, c.Nulls = name, nulls
	return &unskewv1.Output{Column: c, Type: typ, Statuses: make([]unskewv1.Status, 1)}
}

// TestValues: each scalar type has one Go type, and asking for another is an error,
// not a conversion.
func TestValues(t *testing.T) {
	str := func(s string) *unskewv1.Value { return &unskewv1.Value{Kind: &unskewv1.Value_String_{String_: s}} }
	key := &unskewv1.Value{Kind: &unskewv1.Value_Bytes{Bytes: []byte("k")}}
	all := &unskewv1.Value{Kind: &unskewv1.Value_List{List: &unskewv1.ListValue{Values: []*unskewv1.Value{
		str("s"), {}, {Kind: &unskewv1.Value_Bool{Bool: true}}, {Kind: &unskewv1.Value_Int{Int: 1}}, {Kind: &unskewv1.Value_Uint{Uint: 2}},
		{Kind: &unskewv1.Value_Double{Double: 0.5}}, {Kind: &unskewv1.Value_TimestampMicros{TimestampMicros: 1}}, {Kind: &unskewv1.Value_DurationNanos{DurationNanos: 3}},
		{Kind: &unskewv1.Value_Map{Map: &unskewv1.MapValue{Entries: []*unskewv1.MapEntry{{Key: key, Value: str("v")}}}}},
	}}}}
	us := time.UnixMicro(1).UTC()
	h := &canned{answer: &unskewv1.GetFeaturesResponse{Rows: 1, Outputs: []*unskewv1.Output{
		out("bool", "bool", &unskewv1.Column{Values: &unskewv1.Column_Bools{Bools: &unskewv1.Bools{Values: []bool{true}}}}),
		out("int", "int", &unskewv1.Column{Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{-1}}}}),
		out("uint", "uint", &unskewv1.Column{Values: &unskewv1.Column_Uints{Uints: &unskewv1.Uints{Values: []uint64{math.MaxUint64}}}}),
		out("double", "double", &unskewv1.Column{Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{0.5}}}}),
		out("string", "string", &unskewv1.Column{Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{"s"}}}}),
		out("bytes", "bytes", &unskewv1.Column{Values: &unskewv1.Column_Bytes{Bytes: &unskewv1.BytesValues{Values: [][]byte{{1}}}}}),
		out("timestamp", "timestamp", &unskewv1.Column{Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: []int64{1}}}}),
		out("duration", "duration", &unskewv1.Column{Values: &unskewv1.Column_Durations{Durations: &unskewv1.Durations{Nanos: []int64{1}}}}),
		out("nested", "list(dyn)", &unskewv1.Column{Values: &unskewv1.Column_Nested{Nested: &unskewv1.Nested{Values: []*unskewv1.Value{all}}}}),
		out("null", "timestamp", &unskewv1.Column{Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: []int64{0}}}}, 0),
	}}}
	rows, err := dial(t, h).GetFeatures(t.Context(), "s", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	feature := func(name string) *Feature {
		f, err := rows.Feature(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	check[bool](t, feature("bool"), true)
	check[int64](t, feature("int"), -1)
	check[uint64](t, feature("uint"), math.MaxUint64)
	check(t, feature("double"), 0.5)
	check(t, feature("string"), "s")
	check(t, feature("bytes"), []byte{1})
	check(t, feature("timestamp"), us)
	check[time.Duration](t, feature("duration"), 1)
	want := []any{"s", nil, true, int64(1), uint64(2), 0.5, us, time.Duration(3), map[any]any{"k": "v"}}
	if got := feature("nested").Value(0); !reflect.DeepEqual(got, want) {
		t.Errorf("nested %v, want %v", got, want)
	}
	null := feature("null")
	times, err := Values[time.Time](null)
	if err != nil || !times[0].IsZero() || null.Value(0) != nil || !null.IsNull(0) {
		t.Errorf("null: %v, %v", times, err)
	}
	if _, err := Values[float64](feature("int")); err == nil || err.Error() != "feature int is of type int, which is not float64 in Go" {
		t.Error(err)
	}
	if _, err := Values[string](feature("nested")); err == nil {
		t.Error("a list is not a string")
	}
	if _, err := rows.Feature("nope"); err == nil || !strings.Contains(err.Error(), `the answer of service s has no feature "nope"`) {
		t.Error(err)
	}
}

func check[T Scalar](t *testing.T, f *Feature, want T) {
	t.Helper()
	got, err := Values[T](f)
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) || !reflect.DeepEqual(f.Value(0), any(want)) {
		t.Errorf("%s: %v %v, %v; want %v", f.Name(), got, f.Value(0), err, want)
	}
}

// TestAnswersThatAreNoTableAreErrors: a broken server does not become an index out
// of range in the caller.
func TestAnswersThatAreNoTableAreErrors(t *testing.T) {
	ints := func(n int) *unskewv1.Column {
		return &unskewv1.Column{Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: make([]int64, n)}}}
	}
	reasons := out("x", "int", ints(1))
	reasons.Reasons = make([]unskewv1.Status, 2)
	for name, o := range map[string]*unskewv1.Output{
		"rows": out("x", "int", ints(2)), "no column": {Statuses: make([]unskewv1.Status, 1)}, "statuses": {Column: ints(1)},
		"reasons": reasons, "null": out("x", "int", ints(1), 1),
	} {
		h := &canned{answer: &unskewv1.GetFeaturesResponse{Rows: 1, Outputs: []*unskewv1.Output{o}}}
		if rows, err := dial(t, h).GetFeatures(t.Context(), "s", nil, nil); err == nil || !strings.Contains(err.Error(), "the server's answer") {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
	}
	h := &canned{answer: &unskewv1.GetFeaturesResponse{Rows: 1, States: []*unskewv1.ViewState{{View: "v", Positions: make([]uint64, 1)}}}}
	if _, err := dial(t, h).GetFeatures(t.Context(), "s", nil, nil); err == nil || !strings.Contains(err.Error(), "states of view v") {
		t.Error(err)
	}
}

func TestReadOptionsAndErrors(t *testing.T) {
	h := &canned{}
	_, err := dial(t, h).GetFeatures(t.Context(), "s", []Column{Ints("k", 1)}, []Column{Bools("r", true)}, Only("a", "b"), Only("c"), Expect("f"), WithStates())
	if connect.CodeOf(err) != connect.CodeNotFound || err.Error() != "get features of service s: not_found: no such service" {
		t.Error(err)
	}
	want := &unskewv1.GetFeaturesRequest{Service: "s", Keys: columns([]Column{Ints("k", 1)}), Request: columns([]Column{Bools("r", true)}),
		Features: []string{"a", "b", "c"}, Fingerprint: "f", WithStates: true}
	if !proto.Equal(h.asked, want) {
		t.Errorf("asked %v", h.asked)
	}
}

// TestNamesAreThoseOfTheContract for every number, also one this client does not know.
func TestNamesAreThoseOfTheContract(t *testing.T) {
	got := fmt.Sprint(Present, Empty, UnknownEntity, Defaulted, Failed, Status(77), Appended, Duplicate, Conflict, Rejected)
	if got != "PRESENT EMPTY UNKNOWN_ENTITY DEFAULTED ERROR 77 APPENDED DUPLICATE CONFLICT REJECTED" {
		t.Error(got)
	}
}

// restarting is a server that is away for some answers before the training set has succeeded.
type restarting struct {
	unskewv1connect.UnimplementedTrainingServiceHandler
	away int
}

func (r *restarting) GetTrainingSet(_ context.Context, req *connect.Request[unskewv1.GetTrainingSetRequest]) (*connect.Response[unskewv1.GetTrainingSetResponse], error) {
	if r.away--; r.away >= 0 {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("the server is draining"))
	}
	set := &unskewv1.TrainingSet{Id: req.Msg.GetId(), State: unskewv1.TrainingState_TRAINING_STATE_SUCCEEDED}
	if set.GetId() == "bad" {
		set.State, set.Error = unskewv1.TrainingState_TRAINING_STATE_FAILED, "no such column"
	}
	return connect.NewResponse(&unskewv1.GetTrainingSetResponse{TrainingSet: set}), nil
}

// A training set is waited for while its server is restarted.
func TestWaitingOutlivesARestart(t *testing.T) {
	_, handler := unskewv1connect.NewTrainingServiceHandler(&restarting{away: 3})
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL, WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	heard := 0
	set, err := c.WaitForTrainingSet(t.Context(), "a", func(*TrainingSet) { heard++ })
	if err != nil || set.State != TrainingSucceeded || heard != 1 {
		t.Errorf("%+v, %v, heard %d times", set, err, heard)
	}
	if _, err := c.WaitForTrainingSet(t.Context(), "bad", nil); err == nil || err.Error() != "training set bad: no such column" {
		t.Errorf("error %v", err)
	}
}

package redisconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/redistest"
)

func dialTest(t *testing.T, o Options) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestP5_EvictionIsAnErrorUnlessAllowed(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	_, err := Dial(context.Background(), Options{Addresses: []string{server.Address}})
	var eviction *EvictionError
	if !errors.As(err, &eviction) || eviction.Policy != "allkeys-lru" || !strings.Contains(err.Error(), "noeviction") {
		t.Fatalf("Dial of a server that evicts: %v, want an EvictionError with the remedy", err)
	}
	c := dialTest(t, Options{Addresses: []string{server.Address}, AllowEviction: true})
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "allkeys-lru") {
		t.Errorf("warnings do not name the policy: %q", w)
	}
}

func TestDurabilityWarnings(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "appendonly off"},
		{[]string{"--appendonly", "yes"}, "appendfsync everysec"},
		{redistest.Durable, ""},
	} {
		server := redistest.Start(t, c.args...)
		got := strings.Join(dialTest(t, Options{Addresses: []string{server.Address}}).Warnings(), "\n")
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%v: warnings %q, want %q", c.args, got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		s             settings
		warning, fail string
	}{
		{settings{version: "7.0.15", eviction: "noeviction", aof: "1", fsync: "always"}, "", ""},
		{settings{version: "8.2.1", eviction: "noeviction", aof: "1"}, "", ""},
		{settings{version: "6.2.14", eviction: "noeviction"}, "", "7.0 or newer"},
		{settings{version: "10.0.0", eviction: "noeviction"}, "", ""},
		{settings{}, "does not tell", ""},
		{settings{version: "7.2.0", eviction: "volatile-lru"}, "", "volatile-lru"},
	} {
		warnings, err := c.s.check("host:1", false)
		if got := strings.Join((&Conn{warnings: warnings}).Warnings(), "\n"); !strings.Contains(got, c.warning) || (c.warning == "") != (got == "") {
			t.Errorf("%+v: warnings %q, want %q", c.s, got, c.warning)
		}
		if (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%+v: %v, want %q", c.s, err, c.fail)
		}
	}
}

const password = "hunter2-correct-horse"

func TestPasswordIsNeverShown(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "another")
	o := Options{Addresses: []string{server.Address}, Credentials: Credentials{Username: "default", Password: password}}
	_, refused := Dial(context.Background(), o)
	if refused == nil {
		t.Fatal("the wrong password was accepted")
	}
	o.Addresses = []string{server.Address + "x"}
	_, unreachable := Dial(context.Background(), o)
	if unreachable == nil {
		t.Fatal("a socket that is not there was dialed")
	}
	encoded, err := json.Marshal(struct{ P Secret }{o.Password})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "password", o.Password, "options", fmt.Sprint(o))
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "password", o.Password)
	for what, text := range map[string]string{
		"refused": refused.Error(), "unreachable": unreachable.Error(), "json": string(encoded), "slog": logged.String(),
		"%v": fmt.Sprintf("%v", o), "%+v": fmt.Sprintf("%+v", o), "%#v": fmt.Sprintf("%#v", o), "%s": fmt.Sprintf("%s", o.Password),
		"%x": fmt.Sprintf("%x", o.Password), "%q": fmt.Sprintf("%q", o.Password), "%d": fmt.Sprintf("%d", o.Password),
		"pointer": fmt.Sprintf("%+v", &o),
	} {
		if strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%x", password)) {
			t.Errorf("%s shows the password: %s", what, text)
		}
	}
	o = Options{Addresses: []string{server.Address}, Credentials: Credentials{Password: "another"}}
	if err := dialTest(t, o).Do(context.Background(), dialTest(t, o).B().Ping().Build()).Error(); err != nil {
		t.Errorf("the right password: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "no address"},
		{Options{Addresses: []string{"/none"}, Namespace: "a:b"}, "namespace"},
		{Options{Addresses: []string{"/none"}, Namespace: "{"}, "namespace"},
		{Options{Addresses: []string{"/none"}, Namespace: strings.Repeat("n", 65)}, "namespace"},
		{Options{Addresses: []string{"/none"}, Timeout: -1}, "negative"},
		{Options{Addresses: []string{"/none"}}, "connect to redis at /none"},
	} {
		if _, err := Dial(context.Background(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

func TestRefusedOnlyWhenCertain(t *testing.T) {
	server := redistest.Start(t)
	c := dialTest(t, Options{Addresses: []string{server.Address}, Timeout: 100 * time.Millisecond})
	set := func(args ...string) error {
		ctx, cancel := c.Bound(context.Background())
		defer cancel()
		return Cause(ctx, c.Do(ctx, c.B().Arbitrary(args...).Build()).Error())
	}
	if err := set("SET", "only a key"); err == nil || !Refused(err) {
		t.Errorf("an error answer: %v, want refused", err)
	}
	server.Pause(t)
	if err := set("SET", "k", "v"); err == nil || Refused(err) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("no answer: %v, want an unknown outcome and the time limit", err)
	}
	server.Resume(t)
	server.Kill()
	for err := set("SET", "k", "v"); !Refused(err); err = set("SET", "k", "v") {
		if err == nil {
			t.Fatal("a dead server answered")
		}
	}
}

// The time limit is named even if the client notices it before the context does.
func TestCauseNamesTheTimeLimit(t *testing.T) {
	c := &Conn{}
	ctx, cancel := c.BoundBy(context.Background(), time.Hour)
	defer cancel()
	broken := errors.New("broken")
	for _, tc := range []struct {
		err  error
		want string
	}{{context.DeadlineExceeded, "no answer within 1h0m0s"}, {broken, "broken"}, {nil, "<nil>"}} {
		if got := fmt.Sprint(Cause(ctx, tc.err)); got != tc.want {
			t.Errorf("the cause of %v is %s, want %s", tc.err, got, tc.want)
		}
	}
	ended, end := context.WithTimeout(context.Background(), 0)
	defer end()
	ctx, cancel = c.BoundBy(ended, time.Hour)
	defer cancel()
	if got := Cause(ctx, context.DeadlineExceeded); !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("the cause is %v, although the caller's deadline had passed", got)
	}
}

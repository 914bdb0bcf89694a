package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/redistest"
	"github.com/unskew/unskew/internal/registry"
)

// wrong runs a command that has findings and returns what it prints.
func (p *testProject) wrong(args ...string) string {
	p.Helper()
	var out bytes.Buffer
	c := p.command(args...)
	c.Stdout, c.Stderr = &out, &out
	p.check(c.Start())
	if code := p.exitCode(c); code != exitFindings {
		p.Fatalf("unskew %s: exit code %d\n%s", strings.Join(args, " "), code, out.String())
	}
	return out.String()
}

// drop removes the state of a customer from a view, as an eviction does.
func (p *testProject) drop(view string, customer int64) {
	p.Helper()
	project, found, err := featuredefs.Load(p.dir, featuredefs.Options{})
	p.check(err)
	if found.HasErrors() {
		p.Fatal(found)
	}
	ctx := context.Background()
	on, err := backend.Of(project).Open(ctx, nil)
	p.check(err)
	defer func() { p.check(on.Close()) }()
	v, _ := project.Plan.View(view)
	g, err := registry.Live(ctx, on.Store, v)
	p.check(err)
	key := g.StateKey(plan.AppendCanonical(nil, plan.IntValue(customer)))
	got, err := on.Store.Get(ctx, [][]byte{key})
	p.check(err)
	if got[0] == nil {
		p.Fatalf("customer %d has no state in view %s", customer, view)
	}
	p.check(on.Store.DeletePrefix(ctx, key))
}

// A state that the store has lost is served as LOST, before and after new events, and repaired by a command while a server
// runs. Then the values are what they would be without the loss.
func TestO10_LostStateIsRepaired(t *testing.T) {
	p := newTestProject(t)
	server := redistest.Start(t, redistest.Durable...)
	t.Setenv(featuredefs.EnvRedisAddresses, server.Address)
	p.write("unskew.yaml", "project: shop\nonline: {redis: {addresses: [nowhere:1]}}\n")
	p.run("materialize", "-q")
	value := func(customer int) string {
		t.Helper()
		out, _ := p.run("get", "churn_v1", "-k", fmt.Sprint("customer_id=", customer), "-r", "basket=1")
		var lines []string
		for line := range strings.Lines(out) {
			if words := strings.Fields(line); len(words) > 0 && (words[0] == "spending.payments" || words[0] == "spending.spent" || words[0] == "basket_ratio") {
				lines = append(lines, strings.Join(words, " "))
			}
		}
		return strings.Join(lines, "; ")
	}
	if out, _ := p.run("repair", "--check"); !strings.Contains(out, "view spending: 3 states whole, none lost\n") {
		t.Errorf("repair --check of a whole store: %s", out)
	}
	p.write("new.jsonl", strings.ReplaceAll(paymentLine(1), "70", "1"))
	p.run("push", "payments", "new.jsonl", "-q")
	want, other := value(1), value(2)

	p.drop("spending", 1)
	s, err := startServer(p.dir, nil)
	p.check(err)
	if got := value(1); strings.Count(got, "LOST") != 3 || strings.Contains(got, "PRESENT") {
		t.Errorf("after the loss: %s", got)
	}
	p.write("new.jsonl", strings.ReplaceAll(paymentLine(2), "70", "1"))
	p.run("push", "payments", "new.jsonl", "-q")
	if got := value(1); strings.Count(got, "LOST") != 3 {
		t.Errorf("after a new event: %s", got)
	}
	if got := value(2); got != other {
		t.Errorf("another customer: %s, was %s", got, other)
	}
	if out := p.wrong("repair", "--check"); !strings.Contains(out, "view spending: 2 states whole, 1 lost\n") || !strings.Contains(out, "run: unskew repair") {
		t.Errorf("repair --check: %s", out)
	}
	if out := p.wrong("log", "dead-letters"); !strings.Contains(out, "customer_id=1") || !strings.Contains(out, "lost: ") {
		t.Errorf("dead letters: %s", out)
	}
	if out, _ := p.run("repair", "-q"); !strings.Contains(out, "1 lost, 1 rebuilt from ") {
		t.Errorf("repair: %s", out)
	}
	if out, _ := p.run("repair", "--check"); !strings.Contains(out, "view spending: 3 states whole, none lost\n") {
		t.Errorf("repair --check after it: %s", out)
	}
	if out, _ := p.run("log", "dead-letters"); !strings.Contains(out, "repaired at ") {
		t.Errorf("dead letters after it: %s", out)
	}
	got := value(1)
	p.run("materialize", "--full", "-q")
	if whole := value(1); got != whole || got == want || strings.Contains(got, "LOST") {
		t.Errorf("repaired: %s, built anew: %s", got, whole)
	}
	p.check(s.terminate())
}

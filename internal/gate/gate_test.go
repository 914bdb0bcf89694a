package gate

import (
	"context"
	"testing"
)

func TestCloseWaitsForOperations(t *testing.T) {
	g := New()
	if !g.Enter() {
		t.Fatal("an open gate refused entry")
	}
	closed := make(chan bool)
	go func() { closed <- g.Close() }()
	<-g.Closing()
	select {
	case <-closed:
		t.Fatal("Close returned while an operation was running")
	default:
	}
	if g.Enter() {
		t.Fatal("a closing gate admitted an operation")
	}
	g.Leave()
	if !<-closed {
		t.Error("the first Close did not say that it was the first")
	}
	if g.Close() {
		t.Error("the second Close said that it was the first")
	}
}

func TestBindEndsWithTheGateAndWithItsContext(t *testing.T) {
	g := New()
	parent, cancel := context.WithCancel(context.Background())
	byParent, release := g.Bind(parent)
	cancel()
	<-byParent.Done()
	release()

	byGate, release := g.Bind(context.Background())
	g.Close()
	<-byGate.Done()
	release()
}

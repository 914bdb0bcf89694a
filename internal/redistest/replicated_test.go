package redistest

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/access/accesstest"
)

func secured(t *testing.T) Access {
	a := accesstest.New(t)
	return Access{Password: "among-servers", Users: []string{"app on >apps-own ~* &* +@all"}, CA: a.Certificate, Certificate: a.ServerCertificate, Key: a.ServerKey}
}

func TestReplicasTakeOver(t *testing.T) {
	c := StartReplicated(t, 3, secured(t), Durable...)
	slot := c.Slot(t, "k")
	master, replica := c.Owner(t, slot)
	master.Ask(t, "SET", "k", "v")
	master.Ask(t, "WAIT", "1", "5000")
	master.Kill()
	replica.AwaitMaster(t)
	if owner, _ := c.Owner(t, slot); owner != replica || replica.Ask(t, "GET", "k") != "v" {
		t.Error("the replica did not take over")
	}
	master.Restart(t)
	master.AwaitReplica(t)
	to := c.Servers[0]
	for _, s := range c.Servers[:3] {
		if other, _ := c.Owner(t, c.Slot(t, "b")); s != master && other != replica {
			to = other
		}
	}
	c.Move(t, slot, to, nil)
	if owner, _ := c.Owner(t, slot); owner != to || to.Ask(t, "GET", "k") != "v" {
		t.Error("the slot was not moved")
	}
}

func TestSentinelsPromoteTheReplica(t *testing.T) {
	w := StartSentinels(t, secured(t), "of-sentinels", Durable...)
	w.Master.Kill()
	w.Replica.AwaitMaster(t)
	for _, s := range w.Sentinels {
		await(t, "a sentinel knows another master", func() (bool, string) {
			at := s.Ask(t, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SentinelMaster)
			return strings.Contains(at, w.Replica.Address[len("127.0.0.1:"):]), at
		})
	}
}

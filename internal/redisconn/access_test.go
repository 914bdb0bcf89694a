package redisconn

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/access/accesstest"
	"github.com/unskew/unskew/internal/redistest"
)

// A user other than the default one, whose password is in a file, over TLS with a client certificate: one server, sentinels with a
// password of their own, and a cluster. Whatever is wrong, no message has a password in it.
func TestUserPasswordFileAndTLS(t *testing.T) {
	const among, own, sentinels = "among-servers-secret", "own-secret", "sentinels-secret"
	a := accesstest.New(t)
	access := redistest.Access{
		Password: among, Users: []string{"app on >" + own + " ~* &* +@all"}, CA: a.Certificate, Certificate: a.ServerCertificate, Key: a.ServerKey,
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	watched := redistest.StartSentinels(t, access, sentinels)
	for name, o := range map[string]Options{
		"one server": {Addresses: []string{redistest.StartTCP(t, access).Address}},
		"sentinels": {
			Addresses: strings.Split(watched.Addresses(), ","), SentinelMaster: redistest.SentinelMaster, Sentinel: Credentials{PasswordFile: file(sentinels)},
		},
		"cluster": {Addresses: []string{redistest.StartReplicated(t, 3, access).Servers[1].Address}},
	} {
		t.Run(name, func(t *testing.T) {
			o.TLS = &TLS{CA: a.Certificate, Certificate: a.ServerCertificate, Key: a.ServerKey}
			o.Credentials = Credentials{Username: "app", PasswordFile: file(own + "\r\nnot the password\n")}
			c := dialTest(t, o)
			for _, key := range []string{"a", "b", "c", "d"} { // in a cluster of several servers
				if err := c.Do(context.Background(), c.B().Set().Key(key).Value("v").Build()).Error(); err != nil {
					t.Error(err)
				}
			}
			wrong := map[string]func(o *Options){
				"password": func(o *Options) { o.PasswordFile = file("wrong-secret") },
				"both":     func(o *Options) { o.Password = "wrong-secret" },
				"user":     func(o *Options) { o.Username = "nobody" },
				"empty":    func(o *Options) { o.PasswordFile = file("\nsecret") },
				"missing":  func(o *Options) { o.PasswordFile += ".not-there" },
				"no TLS":   func(o *Options) { o.TLS = nil },
				"another authority": func(o *Options) {
					o.TLS = &TLS{CA: accesstest.New(t).Certificate, Certificate: a.ServerCertificate, Key: a.ServerKey}
				},
				"no certificate":    func(o *Options) { o.TLS = &TLS{CA: a.Certificate} },
				"half of them":      func(o *Options) { o.TLS = &TLS{CA: a.Certificate, Key: a.ServerKey} },
				"not a certificate": func(o *Options) { o.TLS = &TLS{CA: file("none")} },
			}
			if name == "sentinels" {
				wrong["password of sentinels"] = func(o *Options) { o.Sentinel = Credentials{Password: "wrong-secret"} }
				wrong["name of the master"] = func(o *Options) { o.SentinelMaster = "another" }
			}
			for what, change := range wrong {
				bad := o
				bad.Timeout = DefaultTimeout
				change(&bad)
				c, err := Dial(context.Background(), bad)
				if err == nil {
					c.Close()
					t.Errorf("%s: it connected", what)
				} else if strings.Contains(err.Error(), "-secret") {
					t.Errorf("%s: the message has a password: %v", what, err)
				} else {
					t.Logf("%s: %v", what, err)
				}
			}
		})
	}
}

package backend

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/servedlog"
)

// leastSecret is the least number of bytes of the secret that replaces keys; whoever can guess it can find
// out which keys were served.
const leastSecret = 16

// ServedLogDir is the folder of a project's served log.
func ServedLogDir(p *featuredefs.Project) string { return folder(p, p.ServedLog.Folder, "served") }

// ServedLog returns what unskew.yaml says of the served log, with the secret of hash_keys.
func ServedLog(p *featuredefs.Project) (servedlog.Config, error) {
	s := &p.ServedLog
	c := servedlog.Config{Dir: ServedLogDir(p), Rate: s.Rate, Rates: s.Services, Retain: time.Duration(s.Retain) * time.Microsecond}
	if s.HashEnv == "" && s.HashFile == "" {
		return c, nil
	}
	where := "the environment variable " + s.HashEnv
	secret := []byte(os.Getenv(s.HashEnv))
	if s.HashFile != "" {
		where = inProject(p, s.HashFile)
		var err error
		if secret, err = os.ReadFile(where); err != nil {
			return c, fmt.Errorf("served_log.hash_keys: %w", err)
		}
	}
	if c.Secret = bytes.TrimSpace(secret); len(c.Secret) < leastSecret {
		return c, fmt.Errorf("served_log.hash_keys: %s has %d bytes; put a random secret of at least %d there, such as the output of openssl rand -hex 32", where, len(c.Secret), leastSecret)
	}
	return c, nil
}

package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// emptyBatch is the number of keys that one SCAN examines.
const emptyBatch = 1000

// Empty removes every key of the namespace, which is meant for temporary namespaces. It scans all
// keys of the servers.
func (c *Conn) Empty(ctx context.Context) error {
	masters, err := c.Masters(ctx)
	if err != nil {
		return fmt.Errorf("empty namespace %s: %w", c.namespace, err)
	}
	for _, master := range masters {
		for cursor := uint64(0); ; {
			// A namespace has no characters that are special in patterns.
			page, err := master.Do(ctx, master.B().Scan().Cursor(cursor).Match(c.namespace+":*").Count(emptyBatch).Build()).AsScanEntry()
			if err != nil {
				return fmt.Errorf("empty namespace %s: %w", c.namespace, err)
			}
			unlinks := make(rueidis.Commands, len(page.Elements))
			for i, name := range page.Elements {
				unlinks[i] = c.B().Unlink().Key(name).Build()
			}
			for _, answer := range c.DoMulti(ctx, unlinks...) {
				if err := answer.Error(); err != nil {
					return fmt.Errorf("empty namespace %s: %w", c.namespace, err)
				}
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}

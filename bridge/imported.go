package bridge

import (
	"context"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// learnImported goes through all messages once after an import: readers may have claimed or acknowledged what was imported behind
// them. It is done page by page between other commits, and begun anew should the bridge stop meanwhile.
func (b *Bridge) learnImported() {
	imported, err := b.own.Value(b.ctx, bridgedb.KeyImported)
	if err == nil && imported == "yes" {
		if err = b.eachMapped(b.ctx, func(g mapping.Group) error { return b.learnGroup(b.ctx, g.Key) }); err == nil {
			err = b.commits.do(b.ctx, func(ctx context.Context, _ *session) error {
				return b.own.SetValue(ctx, bridgedb.KeyImported, "")
			})
		}
	}
	if err != nil && b.ctx.Err() == nil {
		b.log.Error().Err(err).Msg("Failed to go through imported messages; they are gone through at the next start")
	}
}

func (b *Bridge) learnGroup(ctx context.Context, key mapping.GroupKey) error {
	for after := receipts.Pos(0); ; {
		page, err := b.maps.MessagesBetween(ctx, key, after, 1<<62, maxWindow)
		if err != nil || len(page) == 0 {
			return err
		}
		messages := make([]receipts.Message, len(page))
		for i, m := range page {
			messages[i] = m.Message
		}
		err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
			g, err := s.group(ctx, key)
			if err != nil {
				return err
			}
			return s.messagesLearnt(ctx, g, messages, false)
		})
		if err != nil {
			return err
		}
		after = page[len(page)-1].Pos
	}
}

package mappingdb

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// LinkUser says that a Tencent user and a Matrix user are one person. The Tencent
// user becomes linked and has that MXID; he is made if he is not known. The
// account that stood for the Matrix user in Tencent, if there was one, becomes an
// alias and loses its MXID: what it sent and where it was counts as the person's.
// Both are returned as they are afterwards; account is zero if there is none.
//
// Linking the same two again changes nothing. A mapping.ConflictError says that
// one of them is linked with somebody else; mapping.ErrInvalid that userID is
// itself the account of a Matrix user, or an id is malformed.
func (s *Store) LinkUser(ctx context.Context, userID string, mxid id.UserID) (ghost, account mapping.User, err error) {
	if err = mapping.ValidateUserID(userID); err != nil {
		return ghost, account, err
	} else if err = mapping.ValidateMXID(mxid); err != nil {
		return ghost, account, err
	}
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		ghost, err = s.UserByID(ctx, userID)
		known := err == nil
		if err != nil && !errors.Is(err, mapping.ErrNotFound) {
			return err
		}
		holder, err := s.UserByMXID(ctx, mxid)
		if err != nil && !errors.Is(err, mapping.ErrNotFound) {
			return err
		}
		switch {
		case known && ghost.Kind == receipts.KindAccount:
			return fmt.Errorf("%w link: user %s is itself the account of a Matrix user", mapping.ErrInvalid, quote(userID))
		case known && ghost.Kind == receipts.KindLinked && ghost.MXID != mxid:
			return &mapping.ConflictError{What: "user", Key: quote(userID), Holder: "linked with " + ghost.MXID.String()}
		case holder.Key != 0 && holder.Kind == receipts.KindLinked && holder.UserID != userID:
			return &mapping.ConflictError{What: "MXID", Key: mxid.String(), Holder: "linked with user " + quote(holder.UserID)}
		case holder.Key != 0 && holder.Kind == receipts.KindGhost:
			return &mapping.ConflictError{What: "MXID", Key: mxid.String(), Holder: "the ghost of user " + quote(holder.UserID)}
		}
		if !known {
			// Without MXID for the moment: it may still be the account's.
			if err = s.change(ctx, `INSERT INTO tim_user (user_id, kind) VALUES ($1, $2)`, userID, receipts.KindLinked); err != nil {
				return err
			} else if ghost, err = s.UserByID(ctx, userID); err != nil {
				return err
			}
		}
		// The account gives its MXID up first: no two users have one at any moment.
		if holder.Key != 0 && holder.Kind == receipts.KindAccount {
			if err = s.change(ctx, `UPDATE tim_user SET alias_of = $2, mxid = NULL WHERE user_key = $1`, holder.Key, ghost.Key); err != nil {
				return err
			}
		}
		if ghost.MXID != mxid || ghost.Kind != receipts.KindLinked {
			if err = s.change(ctx, `UPDATE tim_user SET kind = $2, mxid = $3 WHERE user_key = $1`, ghost.Key, receipts.KindLinked, mxid); err != nil {
				return err
			}
		}
		if ghost, err = s.UserByID(ctx, userID); err != nil {
			return err
		}
		account, err = s.aliasOf(ctx, ghost.Key)
		return err
	})
	return ghost, account, err
}

// UnlinkUser undoes LinkUser: the Tencent user is a ghost again, named ghostMXID,
// and the account of the Matrix user, if there was one, stands for itself again.
// What was read meanwhile is not taken apart. Both are returned as they are
// afterwards; account is zero if there is none. A user who is not linked stays as
// he is; mapping.ErrNotFound if there is no such user.
func (s *Store) UnlinkUser(ctx context.Context, userID string, ghostMXID id.UserID) (user, account mapping.User, err error) {
	if err = mapping.ValidateMXID(ghostMXID); err != nil {
		return user, account, err
	}
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if user, err = s.UserByID(ctx, userID); err != nil || user.Kind != receipts.KindLinked {
			return err
		}
		holder, err := s.UserByMXID(ctx, ghostMXID)
		if err == nil && holder.Key != user.Key {
			return &mapping.ConflictError{What: "MXID", Key: ghostMXID.String(), Holder: "that of user " + quote(holder.UserID)}
		} else if err != nil && !errors.Is(err, mapping.ErrNotFound) {
			return err
		}
		mxid := user.MXID
		if account, err = s.aliasOf(ctx, user.Key); err != nil {
			return err
		}
		if err = s.change(ctx, `UPDATE tim_user SET kind = $2, mxid = $3 WHERE user_key = $1`, user.Key, receipts.KindGhost, ghostMXID); err != nil {
			return err
		}
		if account.Key != 0 {
			if err = s.change(ctx, `UPDATE tim_user SET alias_of = NULL, mxid = $2 WHERE user_key = $1`, account.Key, mxid); err != nil {
				return err
			} else if account, err = s.UserByID(ctx, account.UserID); err != nil {
				return err
			}
		}
		user, err = s.UserByID(ctx, userID)
		return err
	})
	return user, account, err
}

// aliasOf returns the account united into a linked user, zero if there is none.
func (s *Store) aliasOf(ctx context.Context, key mapping.UserKey) (mapping.User, error) {
	found, err := users(ctx, s, "alias_of", []mapping.UserKey{key})
	if err != nil || len(found) == 0 {
		return mapping.User{}, err
	}
	return found[0], nil
}

func (s *Store) change(ctx context.Context, query string, params ...any) error {
	if _, err := s.db.Exec(ctx, query, params...); err != nil {
		return fmt.Errorf("failed to update user: %w", err)
	}
	return nil
}

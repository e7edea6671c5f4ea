//! What a command does: plans first, then carries them out all or nothing.

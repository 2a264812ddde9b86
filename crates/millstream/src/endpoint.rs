//! Which endpoint a client command talks to, and as whom.

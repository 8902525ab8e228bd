"""What connects uploads with other programs: a quota shared through Redis. Each part needs an extra and is imported where used."""

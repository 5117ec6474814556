"""How learners are made, how members' predictions become one, and how good they are."""

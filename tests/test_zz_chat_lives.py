import sys; sys.path.insert(0,'/tmp/i13/i14/tests')
import random_lives, themes
import os
chat=[t for t in themes.THEMES if t.name==os.environ.get("THEME","chat")]
print([t.name for t in themes.THEMES])
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import initialize
class ChatLives(random_lives.Lives):
    @initialize(seed=random_lives.seeds, theme=st.sampled_from(chat))
    def begin(self, seed, theme):
        from contextlib import closing
        self.life = self._exit.enter_context(closing(random_lives.Life(self._folder, theme)))
        self.life.edit(random_lives.Chance(seed).texts(10))
ChatLives.TestCase.settings=settings(max_examples=int(os.environ.get("LIVES","6")), stateful_step_count=8, phases=[Phase.generate], report_multiple_bugs=False, deadline=None)
TestChat=ChatLives.TestCase

"""Words that say nothing of a topic, in the languages that the filter is tried in.

Written without accents, as `words.folded` leaves them.
"""

from __future__ import annotations

from typing import Final

_ENGLISH = """
a about above after again all also am an and any are aren as at be because been before being
below between both but by can cannot could couldn did didn do does doesn doing don done down
during each either else etc even ever every few for from further get gets getting go goes
going gonna got had hadn has hasn have haven having he her here hers herself hi hello hey
him himself his how i if im in into is isn it its itself just let lets ll me might more most
much must my myself no nor not now of off ok okay on once one ones only or other others our
ours ourselves out over own please quite rather re really s same shall she should shouldn so
some such sure t than thank thanks that the their theirs them themselves then there these
they this those though through to too under until up upon us ve very was wasn we well were
weren what whatever when where whether which while who whom whose why will with within
without won would wouldn yeah yes yet you your yours yourself yourselves
"""

_GERMAN = """
aber alle als also am an auch auf aus bei beim bin bis bist bitte da damit dann das dass dem
den denn der des dessen die dies diese diesem diesen dieser dieses dir doch du durch ein
eine einem einen einer eines er es etwas euch fur gegen gibt gilt habe haben hat hatte ich
ihm ihn ihnen ihr ihre im in ist ja jede jeder jedes kann kein keine konnen mein meine
meinen meiner mich mir mit muss nach nicht noch nun nur ob oder ohne sehr sein seine sich
sie sind so soll uber um und uns unter viel vom von vor wann war warum was welche welchem
welchen welcher welches wenn wer werden wie wieder wir wird wo wohl zu zum zur
"""

_ROMANCE = """
ai al alla allo ao aos au aux avec c ce ces cette che ci com como con cosa cual cuando d
dans das de degli dei del della delle deux di dos du e el elle em en entre era es est esta
estas este estos et eu fait gli hay ich il ils isso isto j je la las le les leur lo los lui
ma mais mas me mes mi mon moi na nao ne nel nella nem no non nos notre nous o os ou para
parce pas per pero perche plus por porque pour puis qu qual quando que quel quelle quelles
quels quem questa questo qui quien quoi sa sao se sem ses si sin sono sont su sua sur tu um
uma un una une uno vos votre vous y
"""

_DUTCH = """
aan bij dan dat deze dit een geen heb heeft het hij hoe ik is je kan maar meer met mijn naar
niet om ook op te tot uit van voor waar waarom wat welke wie wij zijn zo
"""

_RUSSIAN = """
а без бы был была были было быть в вам вас весь во вот все всё вы где да для до его ее её
если есть ещё еще же за и из или им их к как какая какие какой ко когда который кто ли мне
мной можно мой моя мы на надо не него нее нет ни них но ну нужно о об он она они оно от по
под при с сколько со так также такой там те тем то тобой только том ты у уже чего чем что
чтобы эта эти это этот я
"""

_ARABIC = """
في من على إلى الى عن مع هذا هذه ذلك تلك التي الذي ما ماذا متى أين اين كيف هل هو هي هم انا
أنا أنت كان كانت لا لم لن قد أو او ثم كل بعد قبل عند إن ان أن لماذا كم و يا
"""

_HINDI = """
का के की को में से ने है हैं था थी थे और या पर यह ये वह वे कि क्या कैसे कब कहां कहाँ कौन
क्यों मैं मुझे मेरा हम आप तुम भी तो ही नहीं एक लिए चाहिए होना करना किया किसने हो कर इस उस
"""

WORDS: Final = frozenset(
    " ".join((_ENGLISH, _GERMAN, _ROMANCE, _DUTCH, _RUSSIAN, _ARABIC, _HINDI)).split()
)

_VAGUE = """
answer anything ask bit called compare couple definition describe detail details difference
different discuss elaborate example examples exactly explain explanation find first general
give good great help idea important information interested interesting kind know last learn
like list look lot main make many matter mean means mention mentioned need new next number
often part people person please point possible provide question read reason recommend say
second show some something sort start still suggest suggestion summarize take talk tell
thing things think time times topic try type types understand use used useful want way ways
work works write wrote
"""

VAGUE: Final = frozenset(_VAGUE.split())
"""English words of asking and of speaking about speech: they weigh little in a question."""

_CHINESE = """
怎么 么样 什么 多少 哪里 哪个 可以 如何 我们 你们 他们 这个 那个 一个 请问 为什 是什 么是
有什 的是 需要 应该 能不 不能 没有 还有 就是 因为 所以 但是 如果
"""
_JAPANESE = """
です ます した して する され いる ある ない なり なる から まで よう どう どの この その
あの これ それ のは には では とは ので のに くら らい いで すか ます りま しま せん ませ
くだ ださ さい えて てく うな てい いま いて って った たい のが のを とい いう とど ても
でも さん こと もの
"""
_KOREAN = """
에서 까지 부터 하는 으로 에게 한테 입니 니다 습니 어떻 떻게 무엇 얼마 나요 까요 세요 어요
아요 예요 이에 에요 하고 해서 인가 은가 는가 하나 려면 방법 법은 마나 하려
"""

PAIRS: Final = frozenset(" ".join((_CHINESE, _JAPANESE, _KOREAN)).split())
"""Pairs of characters that carry grammar rather than a topic, where no spaces part the words."""

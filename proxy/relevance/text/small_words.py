"""Closed classes of small words, by which the form of a sentence shows in many languages.

They carry grammar, not topics: who speaks to whom, what is denied, ordered, pointed at. Languages
that inflect are matched by the whole word, those that write no spaces by its characters.
"""

from __future__ import annotations

import re
from typing import Final

CLASSES: Final[dict[str, str]] = {
    "me": """
        i me my mine im ive id ill myself ich mir mich mein meine meinen meiner meinem je j
        moi mon ma mes yo mí mi mis io mio mia miei mie eu meu minha meus minhas ik mij mijn
        ja mnie mój moja moje mam jestem я мне меня мой моя моё мои у ben bana beni benim انا
        أنا لي عندي मैं मुझे मेरा मेरी मेरे 我 私 僕 俺 나 저 내 제
    """,
    "we": """
        we us our ours weve were wir uns unser unsere unseren nous notre nos nosotros nuestro
        nuestra noi nostro nostra ci nós nosso nossa wij ons onze my nas nam nasz nasza мы нас
        нам наш наша наши biz bize bizim نحن لنا हम हमें हमारा हमारी हमारे 我们 咱们 私たち
        うち 우리
    """,
    "you": """
        you your yours youre u du dir dich dein deine sie ihnen ihr tu te toi ton ta tes vous
        votre vos tú ti usted ustedes tus su voi lei tuo tua você teu sua jij je jou jouw uw
        ty ci cię twój ты тебе тебя вы вам вас ваш твой sen sana senin siz انت أنت لك तुम
        तुम्हें आप आपको 你 您 あなた 당신
    """,
    "they": """
        he she they him her them his their hers theirs er ihn ihm il elle ils elles lui leur
        él ella ellos ellas lei loro egli ele ela eles elas hij zij hem haar hun on ona oni
        ich jego jej он она они его её их ему ей onlar هو هي هم उसे उसका वे 他 她 他们 彼 彼女
        그는 그녀
    """,
    "kin": """
        husband wife son daughter mother father mum mom dad sister brother boss colleague
        friend neighbour mann frau sohn tochter mutter vater schwester bruder chef mari femme
        fils fille mère père sœur frère esposo esposa hijo hija madre padre hermana hermano
        marito moglie figlio figlia sorella marido mulher filho filha mãe pai irmã vrouw zoon
        dochter moeder vader mąż żona syn córka mama brat муж жена сын дочь мама папа eşim
        oğlum kızım annem babam زوجي زوجتي ابني ابنتي पति पत्नी बेटा बेटी माँ 丈夫 妻子 儿子
        女儿 妈 爸 妻 夫 息子 娘 母 父 아내 남편 아들 딸 엄마 아빠
    """,
    "point": """
        it this that these those one ones such so there it's das dies diese dieser dieses den
        da dabei damit davon ça ce cela celui celle cette ces eso esto ese esa este esta lo la
        quello quella questo questa isso isto esse essa aquele dit dat deze die er to ten ta
        tego tym это этот эта эти то тот та onu bunu o bu şu هذا هذه ذلك تلك यह वह इस उस ये 这
        那 它 それ これ あれ その この あの 그거 이거 그 이
    """,
    "order": """
        first second third fourth last previous other others another next both either earlier
        before rest remaining erste ersten zweite zweiten dritte letzte letzten andere anderen
        nächste vorher premier première deuxième seconde troisième dernier dernière autre
        autres primero primera segundo segunda tercero último última otro otra primo prima
        secondo seconda terzo ultimo ultima altro altra primeiro primeira terceiro outro outra
        eerste tweede derde laatste pierwszy pierwsza drugi druga trzeci ostatni inny первый
        первая второй вторая третий последний другой birinci ilk ikinci üçüncü son diğer الأول
        الثاني الثانية الأخير पहला पहली दूसरा दूसरी आखिरी अंतिम 第一 第二 第三 最后 另一个
        最初 二つ目 三つ目 最後 一番目 二番目 첫 두번째 둘째 마지막 다른
    """,
    "again": """
        again back undo redo instead now still yet anymore longer changed change moved
        actually wait sorry correction cancelled canceled turns meant rather zurück wieder
        doch jetzt stattdessen geändert verschoben eigentlich moment korrektur abgesagt
        nochmal encore retour maintenant finalement plutôt changé annulé reporté pardon otra
        vez ahora cambio cambiado cambió finalmente perdón mejor ancora adesso ora invece
        cambiato scusa anzi spostato agora afinal mudou mudei desculpa melhor weer terug nu
        toch anders gewijzigd verplaatst znowu teraz jednak zmiana zmienił снова опять теперь
        всё-таки обратно изменилось перенесли вернее yine şimdi değişti aslında مرة الآن تغير
        عفوا फिर अब बदल असल 现在 改 换 不是 又 还是 变 やっぱり 変更 今 もう一度 다시 이제
        바뀌 아니
    """,
    "not": """
        no not never none nothing without only cant cannot dont wont isnt doesnt didnt max
        most least nicht kein keine keinen nie nur ohne höchstens ne pas jamais sans seulement
        plus rien aucun nunca sin solo sólo nada ningún non mai senza niente não nem sem só
        niet geen nooit zonder alleen bez tylko nic nigdy не нет никогда без только ничего yok
        değil asla sadece لا ليس لم لن بدون فقط नहीं मत बिना सिर्फ़ सिर्फ केवल 不 没 别 只 无
        ない ません だけ ず 안 않 없 말
    """,
    "rule": """
        please always must should shall may let keep use every each whenever prefer want like
        love would id rather bitte immer soll sollen muss möchte lieber jede jeder jedes gern
        toujours veuillez dois doit désormais chaque préfère siempre favor debe prefiero cada
        sempre per favore deve preferisco ogni prefiro altijd graag moet liever elke zawsze
        proszę musi wolę każdy всегда пожалуйста должен лучше каждый надо lütfen hep her daima
        دائما فضلك كل يجب हमेशा कृपया हर 请 总是 都 每 以后 要 いつも ください 毎 してほしい
        でお願い 항상 주세요 마다 해줘
    """,
    "ask": """
        what who whom whose when where why how which was wer wem wen wann wo warum wie welche
        welcher welches wieviel woran wohin que quoi qui quand où pourquoi comment quel quelle
        quels quelles combien qué quién cuándo dónde cómo cuál cuánto cuántos cuántas che cosa
        chi quando dove perché come quale quanto quali quem onde como qual wat wanneer waar
        waarom hoe welke hoeveel co kto kiedy gdzie dlaczego jak który ile что кто когда где
        почему как какой какая сколько зачем ne kim nerede niçin neden nasıl hangi kaç ما ماذا
        من متى أين لماذا كيف كم هل أي क्या कौन कब कहाँ क्यों कैसे कितना कितने 什么 谁 哪 何时
        怎么 为什么 多少 几 吗 呢 何 誰 いつ どこ なぜ どう いくつ いくら か? 뭐 무엇 누구
        언제 어디 왜 어떻게 얼마 까
    """,
    "aux": """
        is are do does can could will would should did has have is't kann kannst ist sind hat
        gibt soll darf est peut puis faut a-t est-ce puedo puede hay es son posso può c'è è
        sono pode há é kan mag zijn czy można jest могу можно ли есть mı mi mu mü هل يمكن क्या
        सकता सकते 可以 能 できます ですか 될까 나요
    """,
    "speech": """
        ask asked asking question questions answer answers answered say said saying tell told
        talk talked discuss discussed discussion conversation chat summarise summarize summary
        sum recap minutes translate wrote write list index topics far above everything advice
        replies reply condense brief report note notes mention mentioned explained suggested
        frage fragen gefragt antwort antworten gesagt sagte erklärt besprochen gespräch
        zusammen zusammenfassung fasse übersetze bisher alles liste réponse réponses dit
        demandé parlé discuté résume résumé traduis conseils expliqué pregunta preguntas
        pregunté respuesta respuestas dicho dijiste hablado resume resumen resumir traduce
        lista conversación propusiste domanda domande chiesto risposta risposte detto parlato
        riassumi riepiloga riepilogo consigli traduci elenco conversazione pergunta perguntas
        perguntei resposta respostas disse falámos falamos resumo traduz conversa fizemos
        vraag vragen gevraagd antwoord antwoorden gezegd besproken samenvatten samenvatting
        gesprek rij vertaal pytanie pytania pytałem pytałam odpowiedź odpowiedzi powiedział
        mówiliśmy ustaliliśmy streść podsumuj rozmowa przetłumacz вопрос вопросы спросил
        спрашивал ответ ответы сказал говорили обсудили итог подведи разговор перечисли
        переведи совет советы soru sorular sordum cevap cevapların söyledi söylediklerini
        konuştuk özetle özet çevir سؤال أسئلة سألت جواب قلت تحدثنا لخص ملخص ترجم محادثة सवाल
        पूछा जवाब कहा बताया बात संक्षेप सारांश सलाह अनुवाद 问 问题 回答 说过 说的 聊 讨论 总结
        概括 翻译 列出 对话 刚才 到目前 質問 答え 言った 話した 説明 まとめ 要約 会話 これまで
        今まで 英語に 訳 질문 대답 말한 이야기 요약 정리 번역 지금까지
    """,
    "order_to": """
        write make give list draft suggest recommend explain plan show find put add build
        create sketch propose design fix read draw calculate schreib schreibe mach gib erklär
        erkläre plane zeig entwirf nenn empfiehl berechne écris fais donne explique montre dis
        planifie rédige escribe escríbeme haz da dame explica recomienda recomiéndame muestra
        propón scrivi scrivimi fai dammi spiega proponi consiglia escreve faz dá sugere
        recomenda schrijf maak geef leg laat napisz zrób daj wyjaśnij zaproponuj напиши сделай
        дай объясни предложи составь посоветуй yaz yap ver açıkla öner اكتب اعمل أعط اشرح ضع
        اقترح लिखो लिखिए बनाओ दो समझाओ सुझाओ 写 给 做 帮 解释 推荐 列 書いて 作って 教えて
        考えて 提案 써줘 만들어 알려 추천
    """,
    "thanks": """
        thanks thank thx great good nice ok okay cool perfect fine lovely yes yeah ha haha
        super wow bye hi hello hey morning danke gut schön prima ja hallo toll genau merci
        bien parfait oui bonjour gracias vale perfecto sí hola genial grazie bene perfetto sì
        ciao ottimo obrigado obrigada bom perfeito sim olá bedankt dank goed fijn hoi dzięki
        dobrze tak cześć спасибо хорошо отлично да привет ок teşekkürler tamam güzel evet
        merhaba شكرا حسنا نعم جيد مرحبا धन्यवाद ठीक अच्छा हाँ नमस्ते 谢谢 好 好的 嗯 是的 你好
        ありがとう はい わかり 了解 いいね 고마워 감사 네 좋아 알겠
    """,
    "noted": """
        noted understood got sure remember mind promise done will alright ready notiert
        verstanden klar merke gemerkt alles gut werde noté compris entendu retiens d'accord
        anotado entendido apuntado claro recordaré annotato capito ricorderò chiaro d'accordo
        percebi genoteerd begrepen onthoud zapisane rozumiem zapamiętam jasne записал понял
        запомню учту ясно not anladım aklımda tamam فهمت سجلت سأتذكر समझ नोट याद 记住 记下
        明白 了解 知道了 收到 承知 覚え メモ わかりました 기억 알겠 메모 적어
    """,
    "am": """
        am have has had been was were is are live work drive own need got bin habe hat haben
        war waren ist sind wohne arbeite suis ai avons a est sommes habite était soy estoy
        tengo tiene tenemos es vivo trabajo está sono ho ha abbiamo abito lavoro era sou tenho
        tem temos moro estou trabalho ben heb hebben heeft woon werk jestem mam ma mamy
        mieszkam jest есть живу работаю был была var vardı yaşıyorum oturuyorum عندي لدينا كان
        أسكن है हूँ हैं था रहता 是 有 在 住 です います あります だった 이다 있어 있다 살아
        이에요
    """,
}
"""The small words of each class; a word may be in several."""

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
NAMES: Final = tuple(CLASSES)


def _by_word() -> dict[str, tuple[int, ...]]:
    table: dict[str, tuple[int, ...]] = {}
    for number, words in enumerate(CLASSES.values()):
        for word in dict.fromkeys(words.split()):
            table[word] = (*table.get(word, ()), number)
    return table


_TABLE: Final = _by_word()
_SPACED: Final = {word: n for word, n in _TABLE.items() if not _UNSPACED.search(word)}
_RUNS: Final = {word: n for word, n in _TABLE.items() if _UNSPACED.search(word)}
_RUN: Final = re.compile("|".join(re.escape(w) for w in sorted(_RUNS, key=len, reverse=True)))


def counts(words: list[str], text: str) -> list[int]:
    """Return how often each class occurs among `words`, or in `text` where it has no spaces."""
    count = [0] * len(NAMES)
    for word in words:
        for number in _SPACED.get(word, ()):
            count[number] += 1
    if not text.isascii() and _UNSPACED.search(text):
        for word in _RUN.findall(text):
            for number in _RUNS[word]:
                count[number] += 1
    return count

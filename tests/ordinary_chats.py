"""Ordinary conversations in many languages, as people write them: a question and its answer."""

ORDINARY: dict[str, tuple[str, str]] = {
    "German": (
        "Wie bekomme ich Rotweinflecken aus einem Teppich heraus?",
        "Am besten handelst du schnell:\n\n1. Tupfe den Fleck mit einem sauberen Tuch ab.\n2. Streue Salz darauf "
        "und warte eine halbe Stunde.\n3. Sauge das Salz ab und wische mit lauwarmem Wasser nach.\n\nViel Erfolg!",
    ),
    "German letter": (
        "Schreib mir bitte eine kurze Absage für eine Einladung zum Geburtstag.",
        "Liebe Anna,\n\nvielen Dank für deine Einladung. Leider kann ich am Samstag nicht kommen, weil ich "
        "arbeiten muss. Ich wünsche dir ein schönes Fest und hoffe, dass wir uns bald sehen.\n\nHerzliche "
        "Grüße\nMaria",
    ),
    "French": (
        "Quelle est la différence entre un fruit et un légume ?",
        "En botanique, un fruit se forme à partir de la fleur et contient les graines. En cuisine, on appelle "
        "légume tout ce qui se mange salé : la tomate est donc un fruit pour le botaniste et un légume pour le "
        "cuisinier.",
    ),
    "Spanish": (
        "¿Puedes recomendarme tres libros de ciencia ficción?",
        "Claro que sí:\n\n- *Fundación*, de Isaac Asimov\n- *Solaris*, de Stanisław Lem\n- *La mano izquierda de "
        "la oscuridad*, de Ursula K. Le Guin",
    ),
    "Italian": (
        "Come si prepara il caffè con la moka?",
        "Riempi la base con acqua fredda fino alla valvola, metti il caffè nel filtro senza pressarlo e chiudi "
        "bene. Lascia la moka sul fuoco basso finché il caffè non è salito, poi mescola e servi subito.",
    ),
    "Portuguese": (
        "Por que o céu é azul?",
        "A luz do sol é formada por várias cores. Quando ela atravessa a atmosfera, as moléculas do ar espalham "
        "mais a luz azul do que as outras cores, e por isso vemos o céu azul durante o dia.",
    ),
    "Dutch": (
        "Wat moet ik meenemen voor een wandeling in de bergen?",
        "Neem in ieder geval water, een regenjas, een kaart en iets te eten mee. Trek stevige schoenen aan en "
        "vertel iemand waar je naartoe gaat en wanneer je terug bent.",
    ),
    "Polish": (
        "Jak mogę szybciej zasypiać wieczorem?",
        "Spróbuj kłaść się o tej samej porze i odłóż telefon na godzinę przed snem. Pomaga też chłodna, ciemna "
        "sypialnia i spokojna lektura. Jeśli problem trwa dłużej, porozmawiaj z lekarzem.",
    ),
    "Russian": (
        "Как приготовить борщ дома?",
        "Сначала сварите мясной бульон. Затем добавьте картофель и капусту, а свёклу потушите отдельно с томатной "
        "пастой и уксусом. В конце соедините всё вместе и дайте борщу настояться полчаса.",
    ),
    "Ukrainian": (
        "Що подивитися у Львові за один день?",
        "Почніть з площі Ринок і підніміться на вежу ратуші. Потім зайдіть до Вірменського собору, випийте кави в "
        "одній з кав'ярень і прогуляйтеся до Високого замку, звідки видно все місто.",
    ),
    "Turkish": (
        "İstanbul'da bir günde nereleri gezebilirim?",
        "Sabah Ayasofya ve Sultanahmet Camii ile başlayın. Öğleden sonra Kapalıçarşı'yı gezin, akşam da vapurla "
        "Kadıköy'e geçip sahilde güzel bir yemek yiyin.",
    ),
    "Swedish": (
        "Hur lång tid tar det att koka ett ägg?",
        "Ett löskokt ägg tar ungefär fem minuter, ett mellankokt sju och ett hårdkokt tio. Lägg ägget i kokande "
        "vatten och kyl det sedan i kallt vatten, så blir det lättare att skala.",
    ),
    "Chinese": (
        "请问怎样才能学好一门外语？",
        "学好外语需要长期坚持。第一，每天安排固定的时间听和读；第二，多和母语者交流，不要怕犯错；第三，把新学的词放"
        "到句子里记忆。只要坚持几个月，就能看到明显的进步",
    ),
    "Chinese with code": (
        "用 Python 写一个函数，计算列表的平均值。",
        "可以这样写：\n\n```python\ndef average(values):\n    return sum(values) / "
        "len(values)\n```\n\n如果列表为空，这个函数会抛出 ZeroDivisionError，使用前请先检查。",
    ),
    "Japanese": (
        "東京でおすすめの観光スポットを教えてください。",
        "東京には見どころがたくさんあります。まず浅草の浅草寺を訪れて、仲見世通りで買い物を楽しみましょう。そのあと"
        "隅田川の船でお台場に行くと、きれいな夜景も見られます。楽しい旅を！",
    ),
    "Korean": (
        "면접을 볼 때 어떻게 자기소개를 하면 좋을까요?",
        "먼저 이름과 전공을 간단히 말한 다음, 지원한 일과 관련된 경험을 한두 가지 소개하세요. 마지막으로 회사에서 "
        "이루고 싶은 목표를 말하면 좋은 인상을 줄 수 있습니다.",
    ),
    "Arabic": (
        "كيف أتعلم الطبخ وأنا مبتدئ؟",
        "ابدأ بوصفات بسيطة لا تحتاج إلى مكونات كثيرة، مثل الأرز والحساء. اقرأ الوصفة كاملة قبل أن تبدأ، وجهز كل "
        "المكونات أمامك، ثم جرب وصفة جديدة كل أسبوع.",
    ),
    "Hebrew": (
        "מה כדאי לראות בירושלים ביום אחד?",
        "כדאי להתחיל בעיר העתיקה ולבקר בשוק. אחר כך אפשר ללכת למוזיאון ישראל, ובערב לאכול בשוק מחנה יהודה, שבו יש "
        "הרבה מסעדות טובות.",
    ),
    "Hindi": (
        "मैं अपनी अंग्रेज़ी कैसे सुधार सकता हूँ?",
        "रोज़ थोड़ा समय पढ़ने और सुनने के लिए निकालिए। नए शब्द वाक्यों में लिखिए और दोस्तों के साथ बोलने का अभ्यास "
        "कीजिए। गलतियों से डरिए मत, क्योंकि उन्हीं से हम सीखते हैं।",
    ),
    "Thai": (
        "ช่วยแนะนำวิธีออมเงินให้หน่อย",
        "เริ่มจากจดรายรับรายจ่ายทุกวัน แล้วตั้งเป้าหมายว่าจะออมเดือนละเท่าไร ควรโอนเงินออมทันทีที่ได้รับเงินเดือน และหลีกเลี่ยงการใช้จ่ายที่ไม่จำเป็น",
    ),
    "Vietnamese": (
        "Làm thế nào để nấu phở bò ngon tại nhà?",
        "Trước hết hãy ninh xương bò với gừng và hành nướng trong nhiều giờ để có nước dùng trong. Sau đó thêm "
        "quế, hồi và nước mắm vừa ăn, rồi chan lên bánh phở với thịt bò thái mỏng.",
    ),
    "Greek": (
        "Ποια είναι τα καλύτερα νησιά για ήσυχες διακοπές;",
        "Αν θέλετε ησυχία, δοκιμάστε την Ικαρία, την Αμοργό ή τη Φολέγανδρο. Έχουν όμορφες παραλίες, λίγους "
        "τουρίστες και καλό φαγητό, ειδικά τον Ιούνιο και τον Σεπτέμβριο.",
    ),
    "a question in English, an answer with a poem": (
        "Write four lines about the sea in winter.",
        "The grey waves roll against the stone\nAnd gulls cry out above the bay\nThe lighthouse keeper stands "
        "alone\nAnd counts the hours of the day",
    ),
    "a table": (
        "Compare tea and coffee in a table.",
        "| | tea | coffee |\n|---|---|---|\n| caffeine | 40 mg | 95 mg |\n| brewing | 3 minutes | 4 minutes |",
    ),
    "JSON": (
        "Give me the capital of France as JSON.",
        '{"country": "France", "capital": "Paris"}',
    ),
    "a formula": (
        "What is the sum of the first n numbers?",
        "The sum is $1 + 2 + \\dots + n = \\frac{n(n+1)}{2}$",
    ),
    "a command": (
        "How do I list hidden files?",
        "Run this in a terminal:\n\n    ls -la",
    ),
    "a word of a foreign language": (
        "What is the German word for butterfly, and is it easy to pronounce for people who do not speak the language?",
        "Schmetterling",
    ),
    "a long numbered list": (
        "List six things to pack for the beach.",
        "1. Towel\n2. Sunscreen\n3. Water bottle\n4. A hat with a wide brim\n5. Sunglasses\n6. A book that you "
        "always wanted to read",
    ),
}

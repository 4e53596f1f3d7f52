"""Names, places and firms of several countries and scripts, from which demo data is put together; all invented.

A name outside the Latin script carries its Latin spelling behind a bar, for e-mail addresses. Phone numbers use ranges
kept for fiction where a country has them, and blocks that nobody is given elsewhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a country's demo customers are made of. `dial` is followed by `digits` digits; `%s` stands for a house
    number in `streets`, for a family name in `firms`; `cities` are city, state and postal code."""

    country: str
    language: str
    currency: str
    dial: tuple[str, ...]
    digits: int
    weight: int
    women: tuple[str, ...]
    men: tuple[str, ...]
    families: tuple[str, ...]
    families_of_women: tuple[str, ...] = ()
    family_first: bool = False
    between: str = " "
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    firms: tuple[str, ...]


def _words(given: str) -> tuple[str, ...]:
    return tuple(given.split())


PLACES = (
    Place(
        country="US", language="en", currency="USD", weight=5, digits=2,
        dial=tuple(f"+1{area}55501" for area in (202, 212, 213, 303, 305, 312, 404, 415, 503, 512, 617, 702, 718, 808)),
        women=_words("Ava Charlotte Denise Emma Grace Hannah Isabella Jasmine Keisha Lauren Maria Olivia Rachel Sofia"),
        men=_words("Aaron Benjamin Carlos Daniel Ethan Frank George Henry Isaac James Liam Malik Noah Tyler"),
        families=_words("Adams Brooks Carter Diaz Evans Foster Garcia Howard Jackson Kim Lopez Mitchell Nguyen O'Brien "
                        "Parker Ramirez Sanders Turner Walker Young"),
        cities=("Austin|Texas|78701", "Boston|Massachusetts|02108", "Chicago|Illinois|60601", "Denver|Colorado|80202",
                "Miami|Florida|33101", "New York|New York|10001", "Portland|Oregon|97201", "San Diego|California|92101"),
        streets=("%s Maple Avenue", "%s Oak Street", "%s Lakeview Drive", "%s Second Street", "%s Harbor Road"),
        firms=("%s Logistics LLC", "%s Motors Inc.", "%s & Sons", "%s Health Group", "%s Software Inc.", "%s Foods"),
    ),
    Place(
        country="GB", language="en", currency="GBP", weight=3, dial=("+4420794609", "+4416149609"), digits=2,
        women=_words("Alice Amelia Beatrice Charlotte Eleanor Florence Imogen Niamh Poppy Priya Rosie Zara"),
        men=_words("Alfie Arjun Callum Duncan Edward Finlay Harry Hugh Oliver Rhys Simon Theo"),
        families=_words("Ahmed Baker Campbell Davies Edwards Fraser Hughes Jones MacDonald Patel Robinson Singh Taylor "
                        "Wright"),
        cities=("London||EC1A 1BB", "Manchester||M1 1AE", "Leeds||LS1 4AP", "Cardiff||CF10 1EP", "Glasgow||G2 1DY"),
        streets=("%s High Street", "%s Station Road", "%s Church Lane", "%s Victoria Terrace"),
        firms=("%s Trading Ltd", "%s Engineering plc", "%s & Co. Ltd", "%s Motors Ltd", "%s Partners LLP"),
    ),
    Place(
        country="DE", language="de", currency="EUR", weight=4, dial=("+493023125", "+498999998"), digits=3,
        women=_words("Anja Birgit Jörgine Katharina Käthe Lena Monika Petra Sabine Ülkü Ursula Zoë"),
        men=_words("Björn Christian Dieter Günther Jörg Jürgen Lukas Matthias Özgür Stefan Thomas Uwe"),
        families=_words("Bauer Bäcker Fischer Größler Hoffmann Jäger König Krüger Müller Schäfer Schröder Weiß Yılmaz "
                        "Zimmermann"),
        cities=("Berlin|Berlin|10115", "Hamburg|Hamburg|20095", "Köln|Nordrhein-Westfalen|50667",
                "München|Bayern|80331", "Nürnberg|Bayern|90402", "Düsseldorf|Nordrhein-Westfalen|40213"),
        streets=("Hauptstraße %s", "Bahnhofstraße %s", "Gartenweg %s", "Am Mühlbach %s", "Schloßallee %s"),
        firms=("%s Maschinenbau GmbH", "%s Logistik GmbH & Co. KG", "Autohaus %s", "%s Software AG", "Bäckerei %s"),
    ),
    Place(
        country="FR", language="fr", currency="EUR", weight=3, dial=("+331990000", "+332619100", "+334657100"), digits=2,
        women=_words("Amélie Camille Chloé Élodie Fatima Hélène Inès Jeanne Léa Maëlys Noémie Zoé"),
        men=_words("André Benoît Cédric François Gaël Hervé Jérôme Léo Loïc Mathéo Rémi Yacine"),
        families=_words("Bénard Chevalier Dubois Évrard Fontaine Garnier Lefèvre Martin Moreau N'Diaye Père Rousseau"),
        cities=("Paris|Île-de-France|75002", "Lyon|Auvergne-Rhône-Alpes|69001", "Marseille||13001", "Nîmes||30000",
                "Besançon||25000"),
        streets=("%s rue de la République", "%s avenue Victor-Hugo", "%s place de l'Église", "%s quai Saint-Michel"),
        firms=("%s et Fils SARL", "Garage %s", "Établissements %s", "%s Conseil SAS", "Pâtisserie %s"),
    ),
    Place(
        country="ES", language="es", currency="EUR", weight=2, dial=("+34940000",), digits=3,
        women=_words("Ángela Begoña Concepción Inés Lucía María Nerea Núria Sofía Verónica"),
        men=_words("Álvaro Andrés Íñigo Iván Jesús Jordi Martín Óscar Raúl Víctor"),
        families=_words("Álvarez Cañas Domínguez Fernández García Ibáñez Jiménez López Muñoz Núñez Peña Rodríguez"),
        cities=("Madrid|Madrid|28013", "Barcelona|Cataluña|08002", "Sevilla|Andalucía|41001", "A Coruña|Galicia|15001",
                "Logroño|La Rioja|26001"),
        streets=("Calle Mayor %s", "Avenida de la Constitución %s", "Plaza de España %s", "Paseo Marítimo %s"),
        firms=("Talleres %s S.L.", "%s Hermanos S.A.", "Transportes %s", "Bodegas %s", "Construcciones %s S.L."),
    ),
    Place(
        country="PL", language="pl", currency="PLN", weight=2, dial=("+4820000",), digits=4,
        women=_words("Agnieszka Bożena Elżbieta Gosia Joanna Łucja Małgorzata Zofia Żaneta"),
        men=_words("Bartłomiej Grzegorz Jędrzej Krzysztof Łukasz Mikołaj Paweł Stanisław Wojciech"),
        families=_words("Dąbrowski Kamiński Kozłowski Lewandowski Piątkowski Wiśniewski Wróblewski Zieliński Żuławski"),
        families_of_women=_words("Dąbrowska Kamińska Kozłowska Lewandowska Piątkowska Wiśniewska Wróblewska Zielińska "
                                 "Żuławska"),
        cities=("Warszawa|mazowieckie|00-001", "Kraków|małopolskie|30-001", "Łódź|łódzkie|90-001",
                "Gdańsk|pomorskie|80-001", "Wrocław|dolnośląskie|50-001"),
        streets=("ul. Długa %s", "ul. Świętej Anny %s", "al. Niepodległości %s", "ul. Źródlana %s"),
        firms=("%s Sp. z o.o.", "Zakład %s", "%s Transport S.A.", "Piekarnia %s", "Auto-Serwis %s"),
    ),
    Place(
        country="BR", language="pt", currency="BRL", weight=2, dial=("+55110000", "+55210000"), digits=4,
        women=_words("Ágata Beatriz Conceição Débora Flávia Iêda Júlia Letícia Patrícia Thaís"),
        men=_words("Antônio Caio Cauã Fábio Gonçalo João José Luís Otávio Sebastião"),
        families=_words("Araújo Brandão Conceição Falcão Gonçalves Leitão Magalhães Simões Souza Vilaça"),
        cities=("São Paulo|SP|01001-000", "Rio de Janeiro|RJ|20010-000", "Brasília|DF|70040-010",
                "Florianópolis|SC|88010-000", "Maceió|AL|57020-000"),
        streets=("Rua das Laranjeiras, %s", "Avenida São João, %s", "Praça da Sé, %s", "Travessa do Comércio, %s"),
        firms=("%s Comércio Ltda.", "Irmãos %s S.A.", "Oficina %s", "%s Tecnologia Ltda.", "Café %s"),
    ),
    Place(
        country="GR", language="el", currency="EUR", weight=2, dial=("+30200000",), digits=4,
        women=("Άννα|anna", "Ελένη|eleni", "Ιωάννα|ioanna", "Κατερίνα|katerina", "Μαρία|maria", "Σοφία|sofia"),
        men=("Αλέξανδρος|alexandros", "Γιώργος|giorgos", "Δημήτρης|dimitris", "Νίκος|nikos", "Χρήστος|christos"),
        families=("Αντωνίου|antoniou", "Γεωργίου|georgiou", "Δημητρίου|dimitriou", "Ιωάννου|ioannou",
                  "Κωνσταντίνου|konstantinou", "Νικολάου|nikolaou", "Χριστοδούλου|christodoulou"),
        cities=("Αθήνα|Αττική|105 57", "Θεσσαλονίκη|Μακεδονία|546 24", "Πάτρα|Αχαΐα|262 21", "Ηράκλειο|Κρήτη|712 02"),
        streets=("Οδός Ερμού %s", "Λεωφόρος Αλεξάνδρας %s", "Πλατεία Συντάγματος %s"),
        firms=("%s Α.Ε.", "Αφοί %s Ο.Ε.", "%s Ναυτιλιακή Α.Ε.", "Ξενοδοχεία %s"),
    ),
    Place(
        country="UA", language="uk", currency="UAH", weight=2, dial=("+38020000",), digits=4,
        women=("Анна|anna", "Ганна|hanna", "Ірина|iryna", "Оксана|oksana", "Софія|sofiia", "Юлія|yuliia"),
        men=("Андрій|andrii", "Богдан|bohdan", "Дмитро|dmytro", "Іван|ivan", "Олександр|oleksandr", "Сергій|serhii"),
        families=("Бондаренко|bondarenko", "Коваленко|kovalenko", "Кравчук|kravchuk", "Мельник|melnyk",
                  "Петренко|petrenko", "Шевченко|shevchenko", "Яковенко|yakovenko"),
        cities=("Київ||01001", "Львів|Львівська область|79000", "Одеса|Одеська область|65000",
                "Харків|Харківська область|61000"),
        streets=("вул. Хрещатик, %s", "просп. Свободи, %s", "вул. Садова, %s"),
        firms=("ТОВ «%s»", "Автосервіс «%s»", "Торговий дім «%s»", "ПП «%s і партнери»"),
    ),
    Place(
        country="JP", language="ja", currency="JPY", weight=2, dial=("+8130000",), digits=4,
        women=("陽菜|hina", "美咲|misaki", "さくら|sakura", "結衣|yui", "花子|hanako", "真由美|mayumi"),
        men=("翔太|shota", "健太|kenta", "大輔|daisuke", "拓海|takumi", "一郎|ichiro", "蓮|ren"),
        families=("佐藤|sato", "鈴木|suzuki", "高橋|takahashi", "田中|tanaka", "伊藤|ito", "渡辺|watanabe", "山本|yamamoto",
                  "小林|kobayashi"),
        family_first=True,
        cities=("東京|東京都|100-0001", "大阪|大阪府|530-0001", "京都|京都府|600-8001", "札幌|北海道|060-0001"),
        streets=("丸の内1丁目%s番", "本町%s番地", "中央区銀座%s", "北一条西%s丁目"),
        firms=("株式会社%s", "%s商事株式会社", "%s自動車", "有限会社%s工業"),
    ),
    Place(
        country="CN", language="zh", currency="CNY", weight=2, dial=("+86210000",), digits=4,
        women=("芳|fang", "丽娜|lina", "敏|min", "秀英|xiuying", "雪|xue", "欣怡|xinyi"),
        men=("伟|wei", "强|qiang", "建国|jianguo", "浩然|haoran", "磊|lei", "子轩|zixuan"),
        families=("陈|chen", "李|li", "刘|liu", "王|wang", "张|zhang", "赵|zhao", "周|zhou", "欧阳|ouyang"),
        family_first=True, between="",
        cities=("北京|北京市|100000", "上海|上海市|200000", "广州|广东省|510000", "成都|四川省|610000"),
        streets=("人民路%s号", "中山路%s号", "解放大道%s号", "南京东路%s号"),
        firms=("%s氏贸易有限公司", "%s记汽车有限公司", "%s氏科技有限公司"),
    ),
    Place(
        country="EG", language="ar", currency="EGP", weight=2, dial=("+2020000",), digits=5,
        women=("أمينة|amina", "فاطمة|fatma", "ليلى|layla", "مريم|mariam", "نور|nour", "ياسمين|yasmin"),
        men=("أحمد|ahmed", "حسن|hassan", "خالد|khaled", "عمر|omar", "محمد|mohamed", "يوسف|youssef"),
        families=("إبراهيم|ibrahim", "الشريف|elsherif", "حسين|hussein", "سالم|salem", "عبد الله|abdallah", "منصور|mansour"),
        cities=("القاهرة|القاهرة|11511", "الإسكندرية|الإسكندرية|21500", "الجيزة|الجيزة|12511"),
        streets=("شارع النيل %s", "شارع التحرير %s", "طريق الكورنيش %s"),
        firms=("شركة %s للتجارة", "مؤسسة %s", "%s وأولاده", "%s للسيارات"),
    ),
)  # fmt: skip

INDUSTRIES = ("Automotive", "Construction", "Education", "Energy", "Finance", "Food & Beverage", "Healthcare",
              "Hospitality", "Logistics", "Manufacturing", "Public Sector", "Retail", "Technology")  # fmt: skip
TAGS = ("newsletter", "fleet", "key account", "trade fair", "referral", "service contract", "early adopter")
TITLES = ("Managing Director", "Head of Purchasing", "Fleet Manager", "Chief Financial Officer", "Operations Manager",
          "Office Manager")  # fmt: skip
DEPARTMENTS = ("Management", "Purchasing", "Fleet", "Finance", "Operations", "Office")
BLOCK_REASONS = ("Invoices unpaid for more than 90 days", "Chargeback under investigation",
                 "Deliveries refused repeatedly", "Asked by the legal department")  # fmt: skip


def places() -> list[dict[str, object]]:
    """The places as records, each as often as its weight says."""
    return [asdict(place) for place in PLACES for _ in range(place.weight)]

"""Words of the grammar for simulated material. Lists only."""

from __future__ import annotations


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines() if line.strip())


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().replace("_", " ") for word in text.split())


FRAMES = _lines("""
    write a {technology} function that can {action} {thing}
    how would you {action} {thing} in {technology}?
    design {artefact} for {thing} and {other}
    create {artefact} which is able to {action} {number} {thing} records
    what is the difference between {thing} and {other}?
    given {thing}, {action} it so that the result is {quality}
    implement {artefact} in {technology} that keeps {thing} {quality}
    explain step by step how to {action} {thing}
    {action} the following {thing} and report what is {quality}
    solve this: {number} {thing} have to share {number} {other}; how many ways are there?
    prove or disprove that every {quality} {thing} needs {other}
    {person} needs {artefact}. Describe how it would {action} {thing}.
    compare {number} ways to {action} {thing} with {technology}
    generate {number} test cases for {artefact} that handles {thing}
    refactor {artefact} so that {thing} no longer depends on {other}
    find the error in this {technology} code, which should {action} {thing}
    why does {thing} become {quality} when one tries to {action} {other}?
    outline {artefact} about {thing} for {person}
    in {technology}, {action} {thing} without touching {other}
    classify {thing} as {quality} or not, and justify the choice
    think aloud: how can {person} {action} {thing} in {place}?
    what steps does {technology} take to {action} {thing}?
    develop an algorithm to {action} {thing} with at most {number} comparisons
    rewrite this {technology} snippet to {action} {thing} in a {quality} way
    produce a worked example with {thing}, {other} and {topic}
    set up {technology} so that {thing} and {other} stay {quality}
    estimate how long it takes to {action} {number} {thing} entries
    use {technology} to {action} {thing}, then print {other}
    a {quality} {thing} arrives every {number} seconds. Model {artefact} for it.
    derive a formula for {thing} when {other} grows by {number} percent
    could you {action} {thing} while {other} stays {quality}? Show the code.
    build {artefact} from {thing}; {person} will maintain it
    given a list of {thing}, return the {number} most {quality} ones
    simulate {thing} over {number} rounds in {technology}
    draw a decision table for {thing} against {other}
    decide whether {person} should {action} {thing} and defend the decision
    convert {thing} written in {technology} to pseudocode
    which data structure suits {thing} if {other} must be {quality}?
    debug: {artefact} loses {thing} after {number} calls
    summarise what is known about {thing} and {topic}
""")
ACTIONS = _words("""sort merge validate parse count_up split compress normalise cache rank filter deduplicate encrypt
    invert schedule balance interpolate traverse cluster serialise approximate partition rotate audit tokenise
    reconcile index simulate visualise factor predict reverse flatten aggregate_by_day round_down compare_pairwise
    sample mask annotate group back_up""")
ARTEFACTS = _lines("""
    a class
    a small command line tool
    a REST endpoint
    a recursive procedure
    a database schema
    a unit test suite
    a state machine
    a worker pool
    a spreadsheet formula
    a short essay
    a regular expression
    a dashboard
    a lookup table
    a message queue
    a plug-in
    a linear programme
    a shell script
    a decision tree
    a lesson plan
    a data pipeline
    an event handler
    an iterator
    an interpreter
    a priority queue
    a caching layer
    a proof sketch
""")
THINGS = _words("""binary_trees linked_lists prime_numbers bank_accounts matrices calendars chess_positions invoices
    palindromes weighted_graphs time_series image_thumbnails roman_numerals sparse_vectors file_permissions hash_maps
    parking_tickets text_columns polynomials user_sessions exchange_rates shopping_carts log_lines state_vectors
    temperature_readings word_frequencies anagrams intervals maze_walls playing_cards probabilities ring_buffers
    traffic_lights sudoku_grids stock_orders IP_ranges game_scores syntax_trees fractions elevators triangles
    dice_rolls web_forms phone_books currency_amounts vowels rainfall_totals tax_brackets bit_masks permutations
    library_loans geometric_series email_headers course_grades convex_hulls dna_strings recipes leap_years
    bus_timetables survey_answers cookies Fibonacci_terms suffix_arrays seat_reservations magic_squares chat_rooms
    vector_fields loan_payments flight_legs Morse_code train_carriages Markov_chains tic-tac-toe_boards heaps
    pixel_rows truth_tables water_jugs bloom_filters spelling_errors knapsacks election_results queue_lengths
    delivery_routes inventories colour_palettes knights_and_knaves XML_documents coin_changes Pascal's_triangle
    Turing_machines unit_conversions star_ratings""")
QUALITIES = _words("""stable unique missing duplicated sorted nested empty even overdue expensive fast symmetric noisy
    reversible thread-safe immutable readable bounded optimal rounded optional random compact lazy monotone
    balanced negative sparse ambiguous consistent outdated fragile elegant weighted anonymous late""")
TECHNOLOGIES = _words("""Python Java C++ JavaScript Rust Go SQL Bash R Haskell Kotlin Swift PHP Ruby Scala TypeScript
    Julia Perl MATLAB Lua Elixir OCaml C# pandas NumPy Redis PostgreSQL""")
PLACES = _words("""Lisbon Nairobi Osaka Quito Tromsø Leeds Austin Hanoi Cusco Bergen Lyon Perth Kraków Izmir Tartu Accra
    Bergamo Halifax Pune Cork Malmö Tunis Fargo Salta Graz Busan Bruges Tampere Essaouira Galway Utrecht Puebla""")
CHARACTERS = _lines("""
    a nurse on night shift
    a retired teacher
    a new hire
    an old fisherman
    a bored prince
    a bus driver
    a chess coach
    an apprentice baker
    a tax inspector
    a village doctor
    a lighthouse keeper
    a first-year student
    a stage magician
    an orchestra conductor
    a beekeeper
    a football referee
    a museum guide
    a startup founder
    a goalkeeper
    a patient librarian
    a sceptical judge
    an astronaut
    a gardener
    a ten-year-old
""")
WORLD_TOPICS = _words("""tides inflation photosynthesis trade_routes vaccines railways volcanoes bees copyright glaciers
    elections antibiotics printing chess migration bridges opera coffee earthquakes taxes satellites forests markets
    deserts medieval_guilds immune_cells plastics shipyards rivers salt sleep tariffs irrigation telescopes""")
EVERYDAY_THINGS = _words("""bicycle sofa lentil_soup birthday_card lease cat toddler garden wedding_speech tent laptop
    cover_letter budget sourdough visa passport guitar haircut marathon backpack houseplant neighbour dentist landlord
    raincoat mortgage kitten podcast novel poem logo thesis interview presentation kitchen bathroom boiler car_battery
    vacation playlist resume allergy headache spreadsheet printer router phone camera dishwasher drill ladder fence
    apple_pie curry salad barbecue picnic museum train_ticket suitcase hotel apartment roommate gift anniversary""")
EVERYDAY = _lines("""
    what should I know before buying a {thing}
    write a message to {person} about the {thing}
    how do I fix a {thing}
    give me {number} ideas for a {thing} in {place}
    is {place} worth a visit in winter? we like {topic}
    tell me a joke about a {thing} and {person}
    what is a good {thing} for {number} people
    explain {topic} to {person}
    write a poem about {place} and the {thing}
    my {thing} broke after {number} days, draft a complaint
    plan {number} days in {place} with {person}
    is it normal that a {thing} costs more in {place}
    who was important for {topic} in {place}
    act as {person} and ask me questions about {topic}
    make a quiz with {number} questions about {topic}
    which {thing} would {person} choose
    short story: {person}, a {thing}, and {topic}
    how long does a {thing} last
    help me name my {thing}, it reminds me of {place}
    translate "where is the {thing}" into the language of {place}
    what rhymes with {thing}
    settle a bet: did {topic} begin in {place}
    recipe with {number} ingredients for {person} who hates {thing}
    slogan for a {thing} shop in {place}
    pros and cons of a {thing} at home
    what do people in {place} think of {topic}
""")
TRADES = {
    "banking": (
        _words("card transfer balance overdraft pin statement cheque loan savings_account direct_debit fee limit"),
        _lines("""
            why was my {noun} declined
            how do i change the {noun}
            what is the {noun} on my {other}
            i lost my {noun} in {place}
            can you freeze the {noun} for {number} days
            send {number} to my {other}
            is there a {noun} for using the {other} in {place}
            when does the {noun} arrive
            my {noun} shows {number} too much
            block {noun} now
            raise the {noun} of my {other} to {number}
        """),
    ),
    "travel": (
        _words("flight seat bag booking refund visa upgrade hotel connection voucher gate meal insurance"),
        _lines("""
            change my {noun} to {place}
            is there a {noun} left for {number} people
            how much is one {noun} to {place}
            my {noun} was lost in {place}
            cancel the {noun} and keep the {other}
            what is the {noun} policy
            do i need a {noun} for {place}
            add a {noun} to my {other}
            {number} hours late, do i get a {noun}
            which {noun} comes with the {other}
            where is the {noun}
        """),
    ),
    "cooking": (
        _words("flour oven butter rice chicken onion stock yeast pan sauce basil lemon beans"),
        _lines("""
            what can i use instead of {noun}
            how long do i cook {noun} with {other}
            is {noun} still good after {number} days
            recipe with {noun} and {other}
            too much {noun} in my {other}, help
            how many grams of {noun} for {number} people
            can i freeze {noun}
            set a timer for the {noun}, {number} minutes
            do they sell {noun} in {place}
            does {noun} go with {other}
        """),
    ),
}

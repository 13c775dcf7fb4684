#include "perf/workload/subjects.h"

namespace weir {
namespace {

// clang-format off
constexpr const char* kSubjects[] = {
    "Volcanoes", "Glaciers", "Deserts", "Rivers", "Lakes", "Oceans", "Forests", "Mountains", "Islands",
    "Caves", "Rainbows", "Thunderstorms", "Tornadoes", "Earthquakes", "Tides", "Eclipses", "Comets",
    "Asteroids", "Planets", "Stars", "Galaxies", "Telescopes", "Satellites", "Rockets", "Astronauts",
    "Gravity", "Magnets", "Electricity", "Batteries", "Lightbulbs", "Lasers", "Radios", "Televisions",
    "Telephones", "Computers", "Keyboards", "Printers", "Cameras", "Clocks", "Calendars", "Maps",
    "Compasses", "Bridges", "Tunnels", "Dams", "Lighthouses", "Castles", "Cathedrals", "Skyscrapers",
    "Museums", "Libraries", "Schools", "Hospitals", "Markets", "Airports", "Harbours", "Railways",
    "Bicycles", "Motorcycles", "Tractors", "Submarines", "Sailboats", "Helicopters", "Airplanes", "Gliders",
    "Balloons", "Parachutes", "Elevators", "Escalators", "Engines", "Turbines", "Windmills", "Waterwheels",
    "Pumps", "Pulleys", "Levers", "Springs", "Gears", "Bearings", "Hammers", "Screwdrivers", "Scissors",
    "Needles", "Buttons", "Zippers", "Shoes", "Hats", "Gloves", "Umbrellas", "Raincoats", "Blankets",
    "Pillows", "Mirrors", "Windows", "Doors", "Keys", "Locks", "Stairs", "Chimneys", "Roofs", "Gardens",
    "Orchards", "Vineyards", "Greenhouses", "Farms", "Tomatoes", "Potatoes", "Carrots", "Onions", "Garlic",
    "Cucumbers", "Pumpkins", "Beans", "Lentils", "Rice", "Wheat", "Maize", "Barley", "Oats", "Bread",
    "Pasta", "Cheese", "Butter", "Yogurt", "Honey", "Sugar", "Salt", "Pepper", "Cinnamon", "Vanilla",
    "Chocolate", "Coffee", "Tea", "Lemonade", "Apples", "Pears", "Cherries", "Plums", "Peaches", "Grapes",
    "Bananas", "Oranges", "Lemons", "Mangoes", "Strawberries", "Walnuts", "Almonds", "Olives", "Mushrooms",
    "Seaweed", "Soup", "Salad", "Pancakes", "Sandwiches", "Breakfast", "Dinner", "Picnics", "Recipes",
    "Kitchens", "Ovens", "Refrigerators", "Dishwashers", "Spoons", "Bottles", "Baskets", "Candles", "Soap",
    "Perfume", "Toothbrushes", "Sleep", "Dreams", "Memory", "Attention", "Patience", "Curiosity", "Courage",
    "Honesty", "Kindness", "Friendship", "Families", "Neighbours", "Teachers", "Doctors", "Nurses",
    "Firefighters", "Pilots", "Sailors", "Farmers", "Carpenters", "Plumbers", "Tailors", "Bakers",
    "Painters", "Sculptors", "Poets", "Novelists", "Journalists", "Historians", "Lawyers", "Judges",
    "Elections", "Parliaments", "Constitutions", "Taxes", "Money", "Banks", "Insurance", "Budgets",
    "Savings", "Contracts", "Inventions", "Patents", "Trade", "Factories", "Robots", "Algorithms",
    "Databases", "Passwords", "Encryption", "Networks", "Websites", "Emails", "Newspapers", "Magazines",
    "Dictionaries", "Alphabets", "Grammar", "Proverbs", "Riddles", "Jokes", "Letters", "Diaries",
    "Biographies", "Legends", "Fairytales", "Theatre", "Opera", "Ballet", "Orchestras", "Violins", "Pianos",
    "Guitars", "Drums", "Trumpets", "Flutes", "Songs", "Lullabies", "Festivals", "Birthdays", "Weddings",
    "Holidays", "Carnivals", "Fireworks", "Kites", "Puzzles", "Chess", "Marbles", "Football", "Basketball",
    "Tennis", "Swimming", "Running", "Cycling", "Skiing", "Skating", "Climbing", "Hiking", "Camping",
    "Fishing", "Yoga", "Dancing", "Drawing", "Photography", "Pottery", "Knitting", "Weaving", "Carpets",
    "Elephants", "Giraffes", "Lions", "Tigers", "Bears", "Wolves", "Foxes", "Rabbits", "Squirrels",
    "Hedgehogs", "Otters", "Beavers", "Dolphins", "Whales", "Sharks", "Octopuses", "Jellyfish", "Salmon",
    "Turtles", "Crocodiles", "Snakes", "Lizards", "Frogs", "Butterflies", "Bees", "Ants", "Spiders",
    "Beetles", "Dragonflies", "Eagles", "Owls", "Penguins", "Parrots", "Sparrows", "Swans", "Chickens",
    "Horses", "Donkeys", "Camels", "Goats", "Sheep", "Cows", "Cats", "Dogs", "Dinosaurs", "Fossils",
    "Diamonds", "Gold", "Silver", "Copper", "Iron", "Glass", "Concrete", "Plastic", "Paper", "Cotton",
    "Wool", "Silk", "Leather", "Bamboo", "Oxygen", "Hydrogen", "Carbon", "Water", "Ice", "Steam", "Clouds",
    "Snow", "Fog", "Wind", "Sunshine", "Shadows", "Echoes", "Colours", "Numbers", "Fractions", "Triangles",
    "Circles", "Probability", "Statistics", "Vaccines", "Antibiotics", "Bacteria", "Viruses", "Bones",
    "Muscles", "Hearts", "Lungs", "Brains", "Eyes", "Ears", "Teeth",
};
// clang-format on

}  // namespace

std::span<const char* const> Subjects() { return kSubjects; }

}  // namespace weir
